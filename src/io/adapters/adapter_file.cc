// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/adapter_file.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "io/aten.h"

namespace lora {
namespace {

struct KindRow {
  AdapterKind kind;
  std::string_view name, title;
};
constexpr std::array kKinds = {
    KindRow{AdapterKind::unknown, "unknown", "a model that is not known"},
    KindRow{AdapterKind::llm, "llm", "a language model"},
    KindRow{AdapterKind::sd15, "sd15", "Stable Diffusion 1.5"},
    KindRow{AdapterKind::sd2, "sd2", "Stable Diffusion 2"},
    KindRow{AdapterKind::sdxl, "sdxl", "Stable Diffusion XL"}};

const KindRow& row(AdapterKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }

}  // namespace

std::string_view kind_name(AdapterKind kind) { return row(kind).name; }
std::string_view kind_title(AdapterKind kind) { return row(kind).title; }

at::Tensor AdapterModule::down() const {
  if (!mid.defined()) return a.to(at::kFloat);
  const at::Tensor core = mid.to(at::kFloat);            // [r, r, kh, kw]
  const at::Tensor first = a.to(at::kFloat).flatten(1);  // [r, in]
  return at::einsum("ijhw,jc->ichw", {core, first}).contiguous();
}

std::vector<std::int64_t> AdapterModule::weight_shape() const {
  std::vector<std::int64_t> shape = (mid.defined() ? mid : a).sizes().vec();
  shape[0] = out_features();
  shape[1] = in_features();
  return shape;
}

at::Tensor AdapterModule::delta() const {
  const at::Tensor product = at::matmul(b.to(at::kFloat).flatten(1), down().flatten(1));
  return (product * scale).view(weight_shape());
}

std::int64_t AdapterFile::max_rank() const {
  std::int64_t rank = 0;
  for (const AdapterModule& module : modules) rank = std::max(rank, module.rank());
  return rank;
}

bool AdapterFile::all_alpha_known() const {
  return std::all_of(modules.begin(), modules.end(),
                     [](const AdapterModule& module) { return module.alpha_known; });
}

std::int64_t AdapterFile::cross_attention_width() const {
  for (const AdapterModule& module : modules) {
    if (module.path.starts_with("unet.") &&
        (module.path.ends_with(".attn2.to_k") || module.path.ends_with(".attn2.to_v"))) {
      return module.in_features();
    }
  }
  return 0;
}

const AdapterModule* AdapterFile::find(std::string_view module_path) const {
  for (const AdapterModule& module : modules) {
    if (module.path == module_path) return &module;
  }
  return nullptr;
}

}  // namespace lora
