// SPDX-License-Identifier: Apache-2.0
// The loss of one batch of latents, as the diffusers scripts and kohya's sd-scripts compute it:
// mean squared error of each sample in float32, times its weights, then the mean over the batch.
// Compared with tests/golden/sd/train.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "models/noise.h"
#include "models/stable_diffusion.h"

namespace lora {

struct DiffusionBatch {
  at::Tensor latents;    // [B, 4, h, w], scaled
  at::Tensor noise;      // the same shape; what is predicted (epsilon)
  at::Tensor timesteps;  // [B] int64
  TextStates text;
  at::Tensor time_ids;  // SDXL [B, 6]
  // The last `prior` samples are class pictures (prior preservation).
  std::int64_t prior = 0;
};

struct DiffusionOptions {
  std::optional<double> snr_gamma;  // min-SNR
  double prior_weight = 1;
};

// The sum over the instance samples, and their count: accumulation over batches is exact. Class
// samples add prior_weight x their mean for every instance sample.
Loss diffusion_loss(const StableDiffusion& sd, const NoiseSchedule& schedule,
                    const DiffusionBatch& batch, const DiffusionOptions& options);

}  // namespace lora
