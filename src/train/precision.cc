// SPDX-License-Identifier: Apache-2.0
#include "train/precision.h"

#include <nlohmann/json.hpp>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"

namespace lora {
namespace {

constexpr double kFirstScale = 65536, kLeastScale = 1e-4;
constexpr std::int64_t kGrowthInterval = 2000;

Precision precision_auto(at::Device device, const CpuFeatures& cpu, bool cuda_bf16) {
  if (device.is_cuda()) {
    if (cuda_bf16) return {at::kBFloat16, false, "bf16: this GPU computes it in hardware"};
    return {at::kHalf, true, "fp16 with loss scaling: this GPU has no bf16"};
  }
  if (cpu.amx_bf16) {
    return {at::kBFloat16, false, "bf16: this processor multiplies it in hardware (AMX)"};
  }
  if (cpu.avx512_bf16) {
    return {at::kBFloat16, false, "bf16: this processor multiplies it in hardware (AVX-512)"};
  }
  return {at::kFloat, false, "float32: this processor has no bf16 arithmetic"};
}

}  // namespace

CpuFeatures cpu_features() {
  CpuFeatures found;
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) found.amx_bf16 = (edx >> 22U) & 1U;
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) found.avx512_bf16 = (eax >> 5U) & 1U;
#endif
  return found;
}

Precision choose_precision(std::string_view wanted, at::Device device, const CpuFeatures& cpu,
                           bool cuda_bf16) {
  if (wanted == "auto") return precision_auto(device, cpu, cuda_bf16);
  if (wanted == "no") return {at::kFloat, false, "float32, as configured"};
  if (wanted == "fp16") {
    if (!device.is_cuda()) {
      fail_usage("mixed_precision: fp16 needs a GPU (found device cpu); use bf16, no or auto");
    }
    return {at::kHalf, true, "fp16 with loss scaling, as configured"};
  }
  if (wanted != "bf16") {
    fail_usage("mixed_precision: '", wanted, "' is unknown (expected auto, bf16, fp16 or no)");
  }
  std::string why = "bf16, as configured";
  if (device.is_cuda()) {
    if (!cuda_bf16) why += "; this GPU emulates it, `fp16` is faster here";
  } else if (!cpu.amx_bf16 && !cpu.avx512_bf16) {
    why += "; this processor emulates it, `no` is faster here";
  }
  return {at::kBFloat16, false, why};
}

LossScaler::LossScaler(bool enabled, std::optional<double> fixed)
    : enabled_(enabled), dynamic_(!fixed), scale_(enabled ? fixed.value_or(kFirstScale) : 1) {}

bool LossScaler::update(bool finite) {
  if (!enabled_) return finite;
  if (finite) {
    if (dynamic_ && ++good_steps_ % kGrowthInterval == 0) scale_ *= 2;
    return true;
  }
  good_steps_ = 0;
  if (dynamic_) scale_ /= 2;
  if (!dynamic_ || scale_ < kLeastScale) {
    fail("loss scaling: gradients overflow at scale ", scale_,
         dynamic_ ? "; the loss is not finite: lower learning_rate, or use mixed_precision: bf16"
                  : " (fixed by loss_scale); leave loss_scale out");
  }
  return false;
}

nlohmann::json LossScaler::state() const { return {{"scale", scale_}, {"good", good_steps_}}; }

void LossScaler::restore(const nlohmann::json& state) {
  scale_ = state.at("scale").get<double>();
  good_steps_ = state.at("good").get<std::int64_t>();
}

}  // namespace lora
