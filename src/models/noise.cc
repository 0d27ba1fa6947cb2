// SPDX-License-Identifier: Apache-2.0
#include "models/noise.h"

#include <cmath>

#include "io/aten.h"

namespace lora {
namespace {

at::Tensor make_betas(const ScheduleConfig& config) {
  const auto options = at::TensorOptions().dtype(at::kFloat);
  if (config.beta_schedule == "linear") {
    return at::linspace(config.beta_start, config.beta_end, config.train_steps, options);
  }
  return at::linspace(std::sqrt(config.beta_start), std::sqrt(config.beta_end), config.train_steps,
                      options)
      .square();
}

// Shifts sqrt(acp) so that it ends at 0 and scales it so that it starts where it did.
at::Tensor rescaled_betas(const at::Tensor& betas) {
  at::Tensor root = (1 - betas).cumprod(0).sqrt();
  const at::Tensor first = root[0].clone(), last = root[-1].clone();
  root = (root - last) * (first / (first - last));
  const at::Tensor acp = root.square();
  return 1 - at::cat({acp.slice(0, 0, 1), acp.slice(0, 1) / acp.slice(0, 0, -1)});
}

// The two factors of each sample, sqrt(acp) and sqrt(1 - acp), to broadcast over `like`.
struct Factors {
  at::Tensor signal, noise;
};

// Rounds to `dtype` and widens again: every operation of a narrow dtype rounds its result, and the
// CPU has no float16 arithmetic of its own.
at::Tensor rounded(const at::Tensor& x, at::ScalarType dtype) { return x.to(dtype).to(at::kFloat); }

Factors factors(const at::Tensor& acp, const at::Tensor& timesteps, const at::Tensor& like) {
  const at::ScalarType dtype = like.scalar_type();
  std::vector<std::int64_t> shape(static_cast<std::size_t>(like.dim()), 1);
  shape[0] = timesteps.numel();
  const at::Tensor values =
      rounded(acp.to(like.device()).index({timesteps.to(like.device())}).view(shape), dtype);
  return {rounded(values.sqrt(), dtype), rounded(rounded(1 - values, dtype).sqrt(), dtype)};
}

// a x + sign b y, rounded to the dtype of x after every operation.
at::Tensor combined(const at::Tensor& a, const at::Tensor& x, double sign, const at::Tensor& b,
                    const at::Tensor& y) {
  const at::ScalarType dtype = x.scalar_type();
  const at::Tensor first = rounded(a * x.to(at::kFloat), dtype);
  const at::Tensor second = rounded(b * y.to(at::kFloat), dtype);
  return (first + sign * second).to(dtype);
}

}  // namespace

NoiseSchedule::NoiseSchedule(const ScheduleConfig& config) : config_(config) {
  betas_ = make_betas(config);
  if (config.zero_terminal_snr) betas_ = rescaled_betas(betas_);
  acp_ = (1 - betas_).cumprod(0);
  snr_ = (acp_.sqrt() / (1 - acp_).sqrt()).square();
}

at::Tensor NoiseSchedule::add_noise(const at::Tensor& x0, const at::Tensor& noise,
                                    const at::Tensor& timesteps) const {
  const Factors f = factors(acp_, timesteps, x0);
  return combined(f.signal, x0, 1, f.noise, noise);
}

at::Tensor NoiseSchedule::velocity(const at::Tensor& x0, const at::Tensor& noise,
                                   const at::Tensor& timesteps) const {
  const Factors f = factors(acp_, timesteps, x0);
  return combined(f.signal, noise, -1, f.noise, x0);
}

at::Tensor NoiseSchedule::target(const at::Tensor& x0, const at::Tensor& noise,
                                 const at::Tensor& timesteps) const {
  return config_.prediction == Prediction::v ? velocity(x0, noise, timesteps) : noise;
}

at::Tensor NoiseSchedule::min_snr_weight(const at::Tensor& timesteps, double gamma) const {
  const at::Tensor snr = snr_.to(timesteps.device()).index({timesteps});
  const at::Tensor least = snr.clamp_max(gamma);
  return config_.prediction == Prediction::v ? least / (snr + 1) : least / snr;
}

at::Tensor offset_noise(const at::Tensor& noise, const at::Tensor& offset,
                        const at::Tensor& strength) {
  return noise + strength * offset;
}

at::Tensor per_sample_mse(const at::Tensor& prediction, const at::Tensor& target) {
  return (prediction.to(at::kFloat) - target.to(at::kFloat)).square().flatten(1).mean(1);
}

}  // namespace lora
