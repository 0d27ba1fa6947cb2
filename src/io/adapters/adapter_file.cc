// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/adapter_file.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "io/aten.h"

namespace lora {
namespace {

constexpr std::array kKinds = {
    AdapterKindRow{AdapterKind::unknown, "unknown", "a model that is not known"},
    AdapterKindRow{AdapterKind::llm, "llm", "a language model"},
    AdapterKindRow{.kind = AdapterKind::sd15,
                   .name = "sd15",
                   .title = "Stable Diffusion 1.5",
                   .kohya_base = "sd_v1",
                   .kohya_base_v = "sd_v1",
                   .modelspec = "stable-diffusion-v1/lora",
                   .modelspec_v = "stable-diffusion-v1/lora"},
    AdapterKindRow{.kind = AdapterKind::sd2,
                   .name = "sd2",
                   .title = "Stable Diffusion 2",
                   .kohya_base = "sd_v2",
                   .kohya_base_v = "sd_v2_v",
                   .modelspec = "stable-diffusion-v2-512/lora",
                   .modelspec_v = "stable-diffusion-v2-768-v/lora",
                   .kohya_v2 = true},
    AdapterKindRow{.kind = AdapterKind::sdxl,
                   .name = "sdxl",
                   .title = "Stable Diffusion XL",
                   .kohya_base = "sdxl_base_v1-0",
                   .kohya_base_v = "sdxl_base_v1-0",
                   .modelspec = "stable-diffusion-xl-v1-base/lora",
                   .modelspec_v = "stable-diffusion-xl-v1-base/lora",
                   .kohya_sgm = true}};

}  // namespace

const AdapterKindRow& adapter_kind(AdapterKind kind) {
  return kKinds.at(static_cast<std::size_t>(kind));
}
std::string_view kind_name(AdapterKind kind) { return adapter_kind(kind).name; }
std::string_view kind_title(AdapterKind kind) { return adapter_kind(kind).title; }

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
