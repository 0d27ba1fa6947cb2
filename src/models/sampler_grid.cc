// SPDX-License-Identifier: Apache-2.0
#include "models/sampler_grid.h"

#include <algorithm>
#include <cmath>

#include "io/aten.h"

namespace lora {

Grid alphas(const NoiseSchedule& schedule) {
  const at::Tensor acp = schedule.alphas_cumprod().to(at::kDouble).contiguous();
  return Grid(acp.data_ptr<double>(), acp.data_ptr<double>() + acp.numel());
}

Grid train_sigmas(const NoiseSchedule& schedule) {
  Grid acp = alphas(schedule);
  if (schedule.config().zero_terminal_snr) acp.back() = std::pow(2.0, -24);
  for (double& value : acp) value = std::sqrt((1 - value) / value);
  return acp;
}

Grid spaced(const NoiseSchedule& schedule, std::int64_t steps, const std::string& spacing,
            bool rounded) {
  const std::int64_t all = schedule.steps();
  const double last = static_cast<double>(all - 1);
  Grid grid;
  for (std::int64_t i = 0; i < steps; ++i) {
    const double up = static_cast<double>(steps - 1 - i);
    if (spacing == "linspace") {
      // As NumPy multiplies: 15 of 30 intervals up to 999 is just below 499.5.
      const double width = steps == 1 ? 0 : last / static_cast<double>(steps - 1);
      const double t = i == 0 && steps > 1 ? last : up * width;
      grid.push_back(rounded ? std::nearbyint(t) : t);
    } else if (spacing == "leading") {
      grid.push_back(up * static_cast<double>(all / steps) +
                     static_cast<double>(schedule.config().steps_offset));
    } else {
      const double ratio = static_cast<double>(all) / static_cast<double>(steps);
      grid.push_back(std::nearbyint(static_cast<double>(all) - static_cast<double>(i) * ratio) - 1);
    }
  }
  return grid;
}

Grid sigmas_at(const Grid& timesteps, const Grid& train) {
  Grid sigmas;
  for (const double t : timesteps) {
    const double inside = std::clamp(t, 0.0, static_cast<double>(train.size() - 1));
    const auto low = std::min(static_cast<std::size_t>(inside), train.size() - 2);
    const double part = inside - static_cast<double>(low);
    sigmas.push_back(train[low] + part * (train[low + 1] - train[low]));
  }
  sigmas.push_back(0);
  return sigmas;
}

Grid karras_sigmas(const Grid& train, std::int64_t steps) {
  constexpr double kRho = 7;
  const double low = std::pow(train.front(), 1 / kRho), high = std::pow(train.back(), 1 / kRho);
  Grid sigmas;
  for (std::int64_t i = 0; i < steps; ++i) {
    const double part = steps == 1 ? 0 : static_cast<double>(i) / static_cast<double>(steps - 1);
    sigmas.push_back(std::pow(high + part * (low - high), kRho));
  }
  return sigmas;
}

double timestep_of(double sigma, const Grid& train) {
  const double log_sigma = std::log(std::max(sigma, 1e-10));
  std::size_t low = 0;
  while (low + 2 < train.size() && std::log(train[low + 1]) <= log_sigma) ++low;
  const double at_low = std::log(train[low]), at_high = std::log(train[low + 1]);
  const double part = std::clamp((at_low - log_sigma) / (at_low - at_high), 0.0, 1.0);
  return static_cast<double>(low) + part;
}

}  // namespace lora
