// SPDX-License-Identifier: Apache-2.0
// Samplers of pictures, step for step as diffusers' schedulers: DDIM (arXiv 2010.02502), Euler and
// Euler ancestral (arXiv 2206.00364), DPM-Solver++ 2M (arXiv 2211.01095), PNDM (arXiv 2202.09778).
// Latents are float32.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/noise.h"

namespace lora {

// Standard normal numbers of a shape: samplers that add noise ask for them.
using NoiseSource = std::function<at::Tensor(at::IntArrayRef shape)>;

// One run of `steps` steps.
class Sampler {
 public:
  virtual ~Sampler() = default;

  // One entry for each call of the model.
  const std::vector<double>& timesteps() const { return timesteps_; }
  // steps + 1 noise levels; empty for DDIM and PNDM.
  const std::vector<double>& sigmas() const { return sigmas_; }
  // Standard deviation of the first latents: start = this * standard normal noise.
  double init_sigma() const { return init_sigma_; }

  // Latents as the model wants them at step i.
  virtual at::Tensor model_input(const at::Tensor& latents, std::size_t) const { return latents; }
  // The model's output at step i -> the next latents. Steps must be taken in order.
  virtual at::Tensor step(const at::Tensor& output, std::size_t i, const at::Tensor& latents,
                          const NoiseSource& noise) = 0;

 protected:
  std::vector<double> timesteps_, sigmas_;
  double init_sigma_ = 1;
};

struct SamplerRow {
  std::string_view name;
  std::string_view webui;  // what WebUIs call it in a picture's parameters
  std::string_view help;
  // Timestep spacing where neither the caller nor the model (scheduler_config.json) names one.
  std::string_view spacing;
  std::unique_ptr<Sampler> (*make)(const NoiseSchedule& schedule, std::int64_t steps,
                                   const std::string& spacing);
};

std::span<const SamplerRow> samplers();

// Throws Error (usage) for an unknown name, a step count out of 1..train steps, or an unknown
// spacing (leading, linspace, trailing; empty: the model's, else the
// sampler's own).
std::unique_ptr<Sampler> make_sampler(std::string_view name, const NoiseSchedule& schedule,
                                      std::int64_t steps, const std::string& spacing = "");

// Classifier-free guidance: uncond + scale * (cond - uncond).
at::Tensor guide(const at::Tensor& uncond, const at::Tensor& cond, double scale);

// The model: latents and one timestep -> noise or v (guided).
using Denoiser = std::function<at::Tensor(const at::Tensor& latents, double timestep)>;
// From standard normal `noise` [B, 4, h, w] to latents. `after_step` may be empty.
at::Tensor sample(Sampler& sampler, const Denoiser& model, const at::Tensor& noise,
                  const NoiseSource& fresh_noise,
                  const std::function<void(std::size_t step)>& after_step = {});

}  // namespace lora
