// SPDX-License-Identifier: Apache-2.0
// Adafactor as transformers 5.12 runs it with a given learning rate: no relative steps, no
// parameter scaling, no first moment, update clipped at root-mean-square 1.
#include <cmath>

#include "base/error.h"
#include "io/aten.h"
#include "train/optimizers.h"

namespace lora {
namespace {

constexpr double kEps = 1e-30, kDecayPower = -0.8, kClip = 1.0;

class Adafactor : public Optimizer {
 public:
  void step(ParameterPool& pool, double lr) override {
    const at::NoGradGuard no_grad;
    ++steps_;
    const double beta = 1 - std::pow(static_cast<double>(steps_), kDecayPower);
    for (std::size_t i = 0; i < pool.parameters().size(); ++i) {
      const Parameter& parameter = pool.parameters()[i];
      const at::Tensor g = pool.view(pool.gradients(), i);
      at::Tensor update = direction(parameter.name, g, beta);
      update.div_((update.norm() / std::sqrt(static_cast<double>(update.numel())))
                      .div_(kClip)
                      .clamp_min_(1.0));
      const double rate = lr * parameter.lr_multiplier;
      at::Tensor p = pool.view(pool.values(), i);
      if (parameter.weight_decay != 0) p.mul_(1 - rate * parameter.weight_decay);
      p.sub_(update.mul_(rate));
    }
    pool.mark_written();
  }

  TensorMap state(const ParameterPool&) const override {
    TensorMap state;
    state["step"] = at::scalar_tensor(steps_, at::kLong);
    for (const auto& [name, tensor] : moments_) {
      state[name] = tensor.to(at::kCPU, at::kFloat, false, true);
    }
    return state;
  }

  void restore(const ParameterPool& pool, const TensorMap& state,
               const std::string& where) override {
    const at::Device device = pool.parameters()[0].value.device();
    moments_.clear();
    steps_ = 0;
    for (const auto& [name, tensor] : state) {
      if (name == "step")
        steps_ = tensor.item<std::int64_t>();
      else
        moments_[name] = tensor.to(device, at::kFloat, false, true);
    }
    if (steps_ > 0 && moments_.empty()) {
      fail(where, ": no optimizer state; the checkpoint belongs to another configuration");
    }
  }

 private:
  // g scaled by the inverse root of its (factored) second moment.
  at::Tensor direction(const std::string& name, const at::Tensor& g, double beta) {
    const at::Tensor squares = g.square().add_(kEps);
    if (g.dim() < 2) return moment("square." + name, squares, beta).rsqrt().mul_(g);
    const at::Tensor row = moment("row." + name, squares.mean(-1), beta);
    const at::Tensor column = moment("column." + name, squares.mean(-2), beta);
    const at::Tensor by_row = (row / row.mean(-1, true)).rsqrt_().unsqueeze(-1);
    return by_row * column.rsqrt().unsqueeze(-2) * g;
  }

  const at::Tensor& moment(const std::string& name, const at::Tensor& now, double beta) {
    at::Tensor& kept = moments_[name];
    if (!kept.defined()) kept = at::zeros_like(now);
    return kept.mul_(beta).add_(now, 1 - beta);
  }

  TensorMap moments_;
  std::int64_t steps_ = 0;
};

}  // namespace

std::unique_ptr<Optimizer> make_adafactor(const OptimisationConfig& settings);
std::unique_ptr<Optimizer> make_adafactor(const OptimisationConfig&) {
  return std::make_unique<Adafactor>();
}

}  // namespace lora
