// SPDX-License-Identifier: Apache-2.0
// The noise schedule of training (docs: DDPM arXiv 2006.11239; zero terminal SNR arXiv 2305.08891;
// min-SNR arXiv 2303.09556; v prediction arXiv 2202.00512). Same numbers as diffusers and
// kohya's sd-scripts. Tables are float32 on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include "models/sd_config.h"

namespace lora {

class NoiseSchedule {
 public:
  explicit NoiseSchedule(const ScheduleConfig& config);

  const ScheduleConfig& config() const { return config_; }
  std::int64_t steps() const { return config_.train_steps; }
  const at::Tensor& betas() const { return betas_; }         // [steps]
  const at::Tensor& alphas_cumprod() const { return acp_; }  // [steps]
  const at::Tensor& snr() const { return snr_; }             // [steps]; of this very schedule

  // sqrt(acp) x0 + sqrt(1 - acp) noise, in the dtype of x0: acp is rounded to it first, as
  // diffusers does. x0, noise [B, ...]; timesteps [B] int64.
  at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& noise,
                       const at::Tensor& timesteps) const;
  // sqrt(acp) noise - sqrt(1 - acp) x0, likewise.
  at::Tensor velocity(const at::Tensor& x0, const at::Tensor& noise,
                      const at::Tensor& timesteps) const;
  // What the model has to predict: the noise, or the velocity.
  at::Tensor target(const at::Tensor& x0, const at::Tensor& noise,
                    const at::Tensor& timesteps) const;

  // Weight of each sample's loss [B] float32: min(snr, gamma) / snr (epsilon) or
  // min(snr, gamma) / (snr + 1) (v).
  at::Tensor min_snr_weight(const at::Tensor& timesteps, double gamma) const;

 private:
  ScheduleConfig config_;
  at::Tensor betas_, acp_, snr_;
};

// noise + strength * offset; offset [B, C, 1, 1] standard normal, strength a scalar.
at::Tensor offset_noise(const at::Tensor& noise, const at::Tensor& offset,
                        const at::Tensor& strength);

// Mean squared error of each sample [B], float32.
at::Tensor per_sample_mse(const at::Tensor& prediction, const at::Tensor& target);

}  // namespace lora
