// SPDX-License-Identifier: Apache-2.0
#include "models/samplers.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "base/table.h"
#include "io/aten.h"
#include "models/sampler_grid.h"

namespace lora {
namespace {

// alphas_cumprod at a step, with the rule for steps before the first.
class Alphas {
 public:
  explicit Alphas(const NoiseSchedule& schedule)
      : acp_(alphas(schedule)), before_(schedule.config().set_alpha_to_one ? 1.0 : acp_.front()) {}
  double at(double t) const { return t < 0 ? before_ : acp_.at(static_cast<std::size_t>(t)); }

 private:
  Grid acp_;
  double before_;
};

// DDIM with eta 0.
class Ddim : public Sampler {
 public:
  Ddim(const NoiseSchedule& schedule, std::int64_t steps, const std::string& spacing)
      : alphas_(schedule),
        v_(schedule.config().prediction == Prediction::v),
        stride_(static_cast<double>(schedule.steps() / steps)) {
    timesteps_ = spaced(schedule, steps, spacing, true);
  }

  at::Tensor step(const at::Tensor& output, std::size_t i, const at::Tensor& x,
                  const NoiseSource&) override {
    const double now = alphas_.at(timesteps_[i]), next = alphas_.at(timesteps_[i] - stride_);
    const double signal = std::sqrt(now), noise = std::sqrt(1 - now);
    const at::Tensor x0 = v_ ? signal * x - noise * output : (x - noise * output) / signal;
    const at::Tensor eps = v_ ? signal * output + noise * x : output;
    return std::sqrt(next) * x0 + std::sqrt(1 - next) * eps;
  }

 private:
  Alphas alphas_;
  bool v_;
  double stride_;
};

// Euler steps of the probability flow; ancestral: part of the noise is taken away and drawn anew.
class Euler : public Sampler {
 public:
  Euler(const NoiseSchedule& schedule, std::int64_t steps, const std::string& spacing,
        bool ancestral)
      : v_(schedule.config().prediction == Prediction::v), ancestral_(ancestral) {
    timesteps_ = spaced(schedule, steps, spacing, false);
    sigmas_ = sigmas_at(timesteps_, train_sigmas(schedule));
    const double most = *std::max_element(sigmas_.begin(), sigmas_.end());
    init_sigma_ = spacing == "leading" ? std::sqrt(most * most + 1) : most;
  }

  at::Tensor model_input(const at::Tensor& x, std::size_t i) const override {
    return x / std::sqrt(sigmas_[i] * sigmas_[i] + 1);
  }

  at::Tensor step(const at::Tensor& output, std::size_t i, const at::Tensor& x,
                  const NoiseSource& fresh) override {
    const double sigma = sigmas_[i], next = sigmas_[i + 1], square = sigma * sigma;
    const at::Tensor x0 =
        v_ ? output * (-sigma / std::sqrt(square + 1)) + x / (square + 1) : x - sigma * output;
    const at::Tensor slope = (x - x0) / sigma;
    if (!ancestral_) return x + slope * (next - sigma);
    const double up = std::sqrt(next * next * (square - next * next) / square);
    const double down = std::sqrt(next * next - up * up);
    const at::Tensor moved = x + slope * (down - sigma);
    return up > 0 ? moved + up * fresh(x.sizes()).to(x.device()) : moved;
  }

 private:
  bool v_, ancestral_;
};

// DPM-Solver++ of second order, multistep, midpoint; the first and the last step are of first
// order.
class DpmPlusPlus : public Sampler {
 public:
  DpmPlusPlus(const NoiseSchedule& schedule, std::int64_t steps, const std::string& spacing,
              bool karras)
      : v_(schedule.config().prediction == Prediction::v) {
    const Grid train = train_sigmas(schedule);
    if (karras) {
      sigmas_ = karras_sigmas(train, steps);
      for (const double sigma : sigmas_) {
        timesteps_.push_back(std::nearbyint(timestep_of(sigma, train)));
      }
      sigmas_.push_back(0);
      return;
    }
    // One more point than steps, without the last, except in trailing spacing.
    timesteps_ = spaced(schedule, spacing == "trailing" ? steps : steps + 1, spacing, true);
    timesteps_.resize(static_cast<std::size_t>(steps));
    sigmas_ = sigmas_at(timesteps_, train);
  }

  at::Tensor step(const at::Tensor& output, std::size_t i, const at::Tensor& x,
                  const NoiseSource&) override {
    const Level now = level(i), next = level(i + 1);
    const at::Tensor x0 =
        v_ ? now.signal * x - now.noise * output : (x - now.noise * output) / now.signal;
    const double h = next.lambda - now.lambda;
    const double weight = next.signal * std::expm1(-h);
    at::Tensor y = (next.noise / now.noise) * x - weight * x0;
    const bool last = i + 1 == timesteps_.size();
    if (i > 0 && !last) {
      const double ratio = (now.lambda - level(i - 1).lambda) / h;
      y = y - 0.5 * weight / ratio * (x0 - previous_);
    }
    previous_ = x0;
    return y;
  }

 private:
  struct Level {
    double signal, noise, lambda;
  };
  Level level(std::size_t i) const {
    const double signal = 1 / std::sqrt(sigmas_[i] * sigmas_[i] + 1);
    return {signal, sigmas_[i] * signal, -std::log(sigmas_[i])};
  }

  bool v_;
  at::Tensor previous_;
};

// Pseudo linear multistep without the Runge-Kutta start: the second timestep is visited twice.
class Pndm : public Sampler {
 public:
  Pndm(const NoiseSchedule& schedule, std::int64_t steps, const std::string& spacing)
      : alphas_(schedule),
        v_(schedule.config().prediction == Prediction::v),
        stride_(static_cast<double>(schedule.steps() / steps)) {
    timesteps_ = spaced(schedule, steps, spacing, true);
    if (steps > 1) timesteps_.insert(timesteps_.begin() + 1, timesteps_[1]);
  }

  at::Tensor step(const at::Tensor& output, std::size_t i, const at::Tensor& x,
                  const NoiseSource&) override {
    if (i == 1) return move((output + outputs_[0]) / 2, start_, timesteps_[1] + stride_);
    outputs_.push_front(output);
    if (outputs_.size() > 4) outputs_.pop_back();
    if (i == 0) start_ = x;
    return move(combined(), x, timesteps_[i]);
  }

 private:
  at::Tensor combined() const {
    const auto& e = outputs_;
    switch (e.size()) {
      case 1:
        return e[0];
      case 2:
        return (3 * e[0] - e[1]) / 2;
      case 3:
        return (23 * e[0] - 16 * e[1] + 5 * e[2]) / 12;
      default:
        return (55 * e[0] - 59 * e[1] + 37 * e[2] - 9 * e[3]) / 24;
    }
  }

  // From timestep t to t - stride (equation 9 of the paper).
  at::Tensor move(const at::Tensor& output, const at::Tensor& x, double t) const {
    const double now = alphas_.at(t), next = alphas_.at(t - stride_);
    const at::Tensor eps = v_ ? std::sqrt(now) * output + std::sqrt(1 - now) * x : output;
    const double below = now * std::sqrt(1 - next) + std::sqrt(now * (1 - now) * next);
    return std::sqrt(next / now) * x - (next - now) / below * eps;
  }

  Alphas alphas_;
  bool v_;
  double stride_;
  std::deque<at::Tensor> outputs_;  // newest first
  at::Tensor start_;
};

template <typename Kind, auto... extra>
std::unique_ptr<Sampler> make(const NoiseSchedule& schedule, std::int64_t steps,
                              const std::string& spacing) {
  return std::make_unique<Kind>(schedule, steps, spacing, extra...);
}

constexpr SamplerRow kSamplers[] = {
    {"ddim", "DDIM", "deterministic; good from 25 steps", "leading", make<Ddim>},
    {"euler", "Euler", "Euler; good from 20 steps", "linspace", make<Euler, false>},
    {"euler_a", "Euler a", "Euler ancestral: draws new noise at every step", "linspace",
     make<Euler, true>},
    {"dpmpp_2m", "DPM++ 2M", "DPM-Solver++ 2M; good from 15 steps", "linspace",
     make<DpmPlusPlus, false>},
    {"dpmpp_2m_karras", "DPM++ 2M Karras", "DPM-Solver++ 2M on Karras' noise levels", "linspace",
     make<DpmPlusPlus, true>},
    {"pndm", "PLMS", "PNDM, the sampler that SD 1.5 was published with", "leading", make<Pndm>},
};

}  // namespace

std::span<const SamplerRow> samplers() { return kSamplers; }

std::unique_ptr<Sampler> make_sampler(std::string_view name, const NoiseSchedule& schedule,
                                      std::int64_t steps, const std::string& spacing) {
  const SamplerRow& row = row_of(samplers(), "sampler", name);
  if (steps < 1 || steps > schedule.steps()) {
    fail_usage("sampler ", name, ": ", steps, " steps; expected 1 to ", schedule.steps());
  }
  std::string chosen = spacing.empty() ? schedule.config().spacing : spacing;
  if (chosen.empty()) chosen = row.spacing;
  if (chosen != "leading" && chosen != "linspace" && chosen != "trailing") {
    fail_usage("sampler ", name, ": timestep spacing '", chosen,
               "' is unknown (known: leading, linspace, trailing)");
  }
  return row.make(schedule, steps, chosen);
}

at::Tensor guide(const at::Tensor& uncond, const at::Tensor& cond, double scale) {
  return uncond + scale * (cond - uncond);
}

at::Tensor sample(Sampler& sampler, const Denoiser& model, const at::Tensor& noise,
                  const NoiseSource& fresh_noise,
                  const std::function<void(std::size_t step)>& after_step) {
  const at::NoGradGuard no_gradient;
  at::Tensor x = noise * sampler.init_sigma();
  for (std::size_t i = 0; i < sampler.timesteps().size(); ++i) {
    const at::Tensor output = model(sampler.model_input(x, i), sampler.timesteps()[i]);
    x = sampler.step(output, i, x, fresh_noise);
    if (after_step) after_step(i);
  }
  return x;
}

}  // namespace lora
