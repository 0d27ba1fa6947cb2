// SPDX-License-Identifier: Apache-2.0
#include "train/diffusion_loss.h"

#include "io/aten.h"

namespace lora {

Loss diffusion_loss(const StableDiffusion& sd, const NoiseSchedule& schedule,
                    const DiffusionBatch& batch, const DiffusionOptions& options) {
  const at::Tensor noisy = schedule.add_noise(batch.latents, batch.noise, batch.timesteps);
  const at::Tensor target = schedule.target(batch.latents, batch.noise, batch.timesteps);
  const at::Tensor output =
      sd.predict(noisy.to(sd.dtype()), batch.timesteps, batch.text, batch.time_ids);
  at::Tensor losses = per_sample_mse(output, target);
  if (options.snr_gamma) {
    losses = losses * schedule.min_snr_weight(batch.timesteps, *options.snr_gamma);
  }
  const std::int64_t own = losses.size(0) - batch.prior;
  at::Tensor sum = losses.slice(0, 0, own).sum();
  if (batch.prior > 0) {
    const at::Tensor prior = losses.slice(0, own).mean();
    sum = sum + prior * (options.prior_weight * static_cast<double>(own));
  }
  return {sum, static_cast<double>(own)};
}

}  // namespace lora
