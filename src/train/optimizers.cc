// SPDX-License-Identifier: Apache-2.0
#include "train/optimizers.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/table.h"
#include "io/aten.h"

namespace lora {
namespace {

constexpr std::int64_t kGrain = 16384;  // elements that are worth a thread

const at::Tensor& state_tensor(const TensorMap& state, const std::string& name,
                               const std::string& where) {
  const auto found = state.find(name);
  if (found == state.end()) {
    fail(where, ": optimizer state '", name,
         "' is missing; the checkpoint belongs to another configuration");
  }
  return found->second;
}

// A flat buffer beside the pool's values, saved and restored by parameter.
class FlatState {
 public:
  explicit FlatState(std::string name) : name_(std::move(name)) {}

  at::Tensor& of(const ParameterPool& pool, const at::Tensor& like) {
    if (!flat_.defined()) flat_ = at::zeros_like(like);
    static_cast<void>(pool);
    return flat_;
  }

  void save(const ParameterPool& pool, TensorMap& state) const {
    if (!flat_.defined()) return;
    for (std::size_t i = 0; i < pool.parameters().size(); ++i) {
      state[name_ + "." + pool.parameters()[i].name] =
          pool.view(flat_, i).to(at::kCPU, at::kFloat, false, true);
    }
  }

  void load(const ParameterPool& pool, const at::Tensor& like, const TensorMap& state,
            const std::string& where) {
    flat_ = at::zeros_like(like);
    for (std::size_t i = 0; i < pool.parameters().size(); ++i) {
      const Parameter& parameter = pool.parameters()[i];
      const at::Tensor saved = state_tensor(state, name_ + "." + parameter.name, where);
      if (saved.sizes() != parameter.value.sizes()) {
        fail(where, ": optimizer state of '", parameter.name, "' has another shape");
      }
      pool.view(flat_, i).copy_(saved);
    }
  }

 private:
  std::string name_;
  at::Tensor flat_;
};

// Shared by the optimizers that need only flat buffers: the step count and up to two moments.
class FlatOptimizer : public Optimizer {
 public:
  void step(ParameterPool& pool, double lr) override {
    const at::NoGradGuard no_grad;
    ++steps_;
    for (FlatState& moment : moments_) moment.of(pool, pool.values());
    for (const ParameterRange& range : pool.ranges()) {
      if (pool.values().is_cpu()) {
        at::parallel_for(range.begin, range.end, kGrain, [&](auto begin, auto end) {
          update_cpu(pool, begin, end, lr * range.lr_multiplier, range.weight_decay);
        });
      } else {
        update_device(pool, range, lr * range.lr_multiplier);
      }
    }
    pool.mark_written();
  }

  TensorMap state(const ParameterPool& pool) const override {
    TensorMap state;
    state["step"] = at::scalar_tensor(steps_, at::kLong);
    for (const FlatState& moment : moments_) moment.save(pool, state);
    return state;
  }

  void restore(const ParameterPool& pool, const TensorMap& state,
               const std::string& where) override {
    const at::NoGradGuard no_grad;
    steps_ = state_tensor(state, "step", where).item<std::int64_t>();
    if (steps_ == 0) return;
    const at::Tensor like =
        at::zeros({pool_size(pool)}, pool.parameters()[0].value.options()).set_requires_grad(false);
    for (FlatState& moment : moments_) moment.load(pool, like, state, where);
  }

 protected:
  explicit FlatOptimizer(std::vector<FlatState> moments) : moments_(std::move(moments)) {}

  virtual void update_cpu(ParameterPool& pool, std::int64_t begin, std::int64_t end, double lr,
                          double decay) = 0;
  virtual void update_device(ParameterPool& pool, const ParameterRange& range, double lr) = 0;

  float* moment(ParameterPool& pool, std::size_t index) {
    return moments_[index].of(pool, pool.values()).data_ptr<float>();
  }
  at::Tensor moment(ParameterPool& pool, std::size_t index, const ParameterRange& range) {
    return part(moments_[index].of(pool, pool.values()), range);
  }
  static at::Tensor part(const at::Tensor& flat, const ParameterRange& range) {
    return flat.narrow(0, range.begin, range.end - range.begin);
  }

  std::int64_t steps_ = 0;

 private:
  static std::int64_t pool_size(const ParameterPool& pool) { return pool.ranges().back().end; }
  std::vector<FlatState> moments_;
};

class AdamW : public FlatOptimizer {
 public:
  explicit AdamW(const OptimisationConfig& settings)
      : FlatOptimizer({FlatState("exp_avg"), FlatState("exp_avg_sq")}),
        beta1_(settings.adam_beta1.value_or(0.9)),
        beta2_(settings.adam_beta2.value_or(0.999)),
        epsilon_(settings.adam_epsilon) {}

 private:
  double correction1() const { return 1 - std::pow(beta1_, static_cast<double>(steps_)); }
  double correction2() const { return 1 - std::pow(beta2_, static_cast<double>(steps_)); }

  void update_cpu(ParameterPool& pool, std::int64_t begin, std::int64_t end, double lr,
                  double decay) override {
    float* p = pool.values().data_ptr<float>();
    const float* g = pool.gradients().data_ptr<float>();
    float* m = moment(pool, 0);
    float* v = moment(pool, 1);
    const auto keep = static_cast<float>(1 - lr * decay);
    const auto rate = static_cast<float>(lr / correction1());
    const auto root = static_cast<float>(1 / std::sqrt(correction2()));
    const auto b1 = static_cast<float>(1 - beta1_), b2 = static_cast<float>(beta2_);
    const auto c2 = static_cast<float>(1 - beta2_), eps = static_cast<float>(epsilon_);
    for (std::int64_t i = begin; i < end; ++i) {
      m[i] += b1 * (g[i] - m[i]);
      v[i] = b2 * v[i] + c2 * g[i] * g[i];
      p[i] = keep * p[i] - rate * m[i] / (std::sqrt(v[i]) * root + eps);
    }
  }

  void update_device(ParameterPool& pool, const ParameterRange& range, double lr) override {
    const at::Tensor g = part(pool.gradients(), range);
    at::Tensor p = part(pool.values(), range);
    at::Tensor m = moment(pool, 0, range), v = moment(pool, 1, range);
    p.mul_(1 - lr * range.weight_decay);
    m.lerp_(g, 1 - beta1_);
    v.mul_(beta2_).addcmul_(g, g, 1 - beta2_);
    const at::Tensor bottom = v.sqrt().div_(std::sqrt(correction2())).add_(epsilon_);
    p.addcdiv_(m, bottom, -lr / correction1());
  }

  double beta1_, beta2_, epsilon_;
};

class Lion : public FlatOptimizer {
 public:
  explicit Lion(const OptimisationConfig& settings)
      : FlatOptimizer({FlatState("exp_avg")}),
        beta1_(settings.adam_beta1.value_or(0.9)),
        beta2_(settings.adam_beta2.value_or(0.99)) {}

 private:
  void update_cpu(ParameterPool& pool, std::int64_t begin, std::int64_t end, double lr,
                  double decay) override {
    float* p = pool.values().data_ptr<float>();
    const float* g = pool.gradients().data_ptr<float>();
    float* m = moment(pool, 0);
    const auto keep = static_cast<float>(1 - lr * decay), rate = static_cast<float>(lr);
    const auto b1 = static_cast<float>(beta1_), b2 = static_cast<float>(beta2_);
    for (std::int64_t i = begin; i < end; ++i) {
      const float direction = b1 * m[i] + (1 - b1) * g[i];
      const float sign = static_cast<float>(direction > 0) - static_cast<float>(direction < 0);
      p[i] = keep * p[i] - rate * sign;
      m[i] = b2 * m[i] + (1 - b2) * g[i];
    }
  }

  void update_device(ParameterPool& pool, const ParameterRange& range, double lr) override {
    const at::Tensor g = part(pool.gradients(), range);
    at::Tensor p = part(pool.values(), range);
    at::Tensor m = moment(pool, 0, range);
    p.mul_(1 - lr * range.weight_decay);
    p.add_((m * beta1_).add_(g, 1 - beta1_).sign_(), -lr);
    m.mul_(beta2_).add_(g, 1 - beta2_);
  }

  double beta1_, beta2_;
};

// Weight decay is added to the gradient, as torch.optim.SGD does.
class Sgd : public FlatOptimizer {
 public:
  explicit Sgd(const OptimisationConfig& settings)
      : FlatOptimizer({FlatState("momentum")}), momentum_(settings.momentum) {}

 private:
  void update_cpu(ParameterPool& pool, std::int64_t begin, std::int64_t end, double lr,
                  double decay) override {
    float* p = pool.values().data_ptr<float>();
    const float* g = pool.gradients().data_ptr<float>();
    float* m = moment(pool, 0);
    const auto rate = static_cast<float>(lr), pull = static_cast<float>(decay);
    const auto mu = static_cast<float>(momentum_);
    for (std::int64_t i = begin; i < end; ++i) {
      m[i] = mu * m[i] + (g[i] + pull * p[i]);
      p[i] -= rate * m[i];
    }
  }

  void update_device(ParameterPool& pool, const ParameterRange& range, double lr) override {
    at::Tensor p = part(pool.values(), range);
    at::Tensor m = moment(pool, 0, range);
    m.mul_(momentum_).add_(part(pool.gradients(), range)).add_(p, range.weight_decay);
    p.add_(m, -lr);
  }

  double momentum_;
};

template <typename T>
std::unique_ptr<Optimizer> make(const OptimisationConfig& settings) {
  return std::make_unique<T>(settings);
}

}  // namespace

std::unique_ptr<Optimizer> make_adafactor(const OptimisationConfig& settings);  // adafactor.cc

namespace {

constexpr OptimizerRow kOptimizers[] = {
    {"adamw", "AdamW, betas 0.9 and 0.999, eps 1e-8: the default", make<AdamW>},
    {"lion", "Lion, betas 0.9 and 0.99: half of AdamW's memory; wants a 3-10 times lower rate",
     make<Lion>},
    {"adafactor", "Adafactor with a factored second moment: the least memory", make_adafactor},
    {"sgd", "stochastic gradient descent, with momentum where set", make<Sgd>},
};

}  // namespace

std::span<const OptimizerRow> optimizer_rows() { return kOptimizers; }

std::unique_ptr<Optimizer> make_optimizer(const OptimisationConfig& settings) {
  return row_of(optimizer_rows(), "optimizer", settings.optimizer).make(settings);
}

}  // namespace lora
