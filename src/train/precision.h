// SPDX-License-Identifier: Apache-2.0
// The number format of the computation, and loss scaling for float16. Master weights, gradients
// and optimizer state are float32 in every case.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace lora {

struct CpuFeatures {
  bool amx_bf16 = false;
  bool avx512_bf16 = false;
};
CpuFeatures cpu_features();  // CPUID; all false on other processors

struct Precision {
  at::ScalarType dtype = at::kFloat;
  bool scaled = false;  // float16: the loss is scaled
  std::string why;      // "bf16: this processor multiplies bfloat16 in hardware (AMX)"
};

// `wanted`: auto, bf16, fp16, no. auto = bf16 where the hardware multiplies it, else
// float16 on a GPU and float32 on the CPU.
// `cuda_bf16`: whether the GPU multiplies it (machine.cc asks). Throws Error (usage) for fp16 on
// the CPU and an unknown word; bf16 without hardware is allowed and `why` says that it is slow.
Precision choose_precision(std::string_view wanted, at::Device device, const CpuFeatures& cpu,
                           bool cuda_bf16);

// Dynamic loss scaling as torch.amp.GradScaler does it: halve and skip the step after an overflow,
// double after 2000 good steps. Disabled (scale 1) unless the precision asks for it.
class LossScaler {
 public:
  LossScaler() = default;
  // fixed: a constant scale; absent: dynamic from 65536.
  LossScaler(bool enabled, std::optional<double> fixed);

  bool enabled() const { return enabled_; }
  double scale() const { return scale_; }
  // After each step: was every gradient finite? Returns whether the step counts. Throws Error when
  // the scale falls below 1e-4: the loss is broken, not merely large.
  bool update(bool finite);

  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  bool enabled_ = false, dynamic_ = true;
  double scale_ = 1;
  std::int64_t good_steps_ = 0;
};

}  // namespace lora
