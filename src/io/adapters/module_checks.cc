// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/module_checks.h"

#include "base/error.h"
#include "io/aten.h"

namespace lora {
namespace {

void check_pair(AdapterModule& module, const std::string& where) {
  at::Tensor& a = module.a;
  at::Tensor& b = module.b;
  const auto shapes = [&] {
    return join("down ", shape_text(a.sizes()), ", up ", shape_text(b.sizes()));
  };
  if (a.dim() == 4 && b.dim() == 2) b = b.view({b.size(0), b.size(1), 1, 1});
  const bool fits = (a.dim() == 2 || a.dim() == 4) && b.dim() == a.dim() && a.numel() > 0 &&
                    b.numel() > 0 && at::isFloatingType(a.scalar_type()) &&
                    at::isFloatingType(b.scalar_type());
  if (!fits || (b.dim() == 4 && (b.size(2) != 1 || b.size(3) != 1))) {
    fail(where, ": module '", module.path, "': not the shapes of a LoRA pair (found ", shapes(),
         ", expected [rank, in] and [out, rank]); damaged file?");
  }
  if (a.size(0) != b.size(1)) {
    fail(where, ": module '", module.path, "': the two ranks differ (found ", shapes(),
         ", expected [rank, in] and [out, rank]); damaged file?");
  }
  const at::Tensor& mid = module.mid;
  const std::int64_t rank = a.size(0);
  if (mid.defined() && (mid.dim() != 4 || a.dim() != 4 || a.size(2) != 1 || a.size(3) != 1 ||
                        mid.size(0) != rank || mid.size(1) != rank)) {
    fail(where, ": module '", module.path, "': lora_mid does not fit (found ",
         shape_text(mid.sizes()), " with ", shapes(), ", expected [rank, rank, kh, kw]); ",
         "damaged file?");
  }
}

// [out], [out, 1], [out, 1, 1, 1], or PEFT's [1, out, 1, 1] of a convolution.
void check_magnitude(AdapterModule& module, const std::string& where) {
  at::Tensor& magnitude = module.magnitude;
  if (!magnitude.defined()) return;
  const std::int64_t out = module.out_features();
  const bool peft_conv = magnitude.dim() == 4 && magnitude.size(0) == 1;
  if (magnitude.numel() != out || magnitude.size(peft_conv ? 1 : 0) != out) {
    fail(where, ": module '", module.path, "': the DoRA magnitude is not one number per output ",
         "(found ", shape_text(magnitude.sizes()), ", expected [", out, "]); DoRA over input ",
         "columns is not supported");
  }
  magnitude = magnitude.reshape({out});
}

}  // namespace

void check_shapes(AdapterModule& module, const std::string& where) {
  check_pair(module, where);
  check_magnitude(module, where);
}

}  // namespace lora
