// SPDX-License-Identifier: Apache-2.0
// Timesteps and noise levels of the samplers, in double on the CPU, rounded as NumPy does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/noise.h"

namespace lora {

using Grid = std::vector<double>;

// alphas_cumprod as doubles.
Grid alphas(const NoiseSchedule& schedule);
// sqrt((1 - acp) / acp) of every training step. With zero terminal SNR the last acp is 2^-24, as
// diffusers sets it.
Grid train_sigmas(const NoiseSchedule& schedule);

// `steps` timesteps, largest first. linspace: whole numbers only where `rounded`.
Grid spaced(const NoiseSchedule& schedule, std::int64_t steps, const std::string& spacing,
            bool rounded);

// sigma at fractional training steps, linear between them; a 0 is appended.
Grid sigmas_at(const Grid& timesteps, const Grid& train);

// Noise levels of Karras et al. 2022, equation 5 (rho 7), without the final 0; and the training
// step of a noise level, by interpolation of its logarithm.
Grid karras_sigmas(const Grid& train, std::int64_t steps);
double timestep_of(double sigma, const Grid& train);

}  // namespace lora
