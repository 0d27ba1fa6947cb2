// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/choice.h"

namespace lora::kernels {
namespace {

thread_local bool fused = true;

}  // namespace

bool usable(const at::Tensor& x) {
  return fused && x.is_cpu() && x.numel() > 0 &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

FusedKernels::FusedKernels(bool on) : before_(fused) { fused = on; }
FusedKernels::~FusedKernels() { fused = before_; }

}  // namespace lora::kernels
