// SPDX-License-Identifier: Apache-2.0
// Optimizers over float32 master weights.
//
// All parameters of a run lie in one flat buffer, their gradients in a second one: zeroing,
// clipping and the update are single passes, whatever the number of adapters. Parameters with the
// same rate and decay are neighbours, so a device runs a handful of kernels a step.
// AdamW (arXiv 1711.05101) and SGD give the numbers of torch.optim 2.14, Adafactor
// (arXiv 1804.04235) those of transformers 5.12 without relative steps, Lion: arXiv 2302.06675.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/groups.h"
#include "io/tensors.h"

namespace lora {

// One trainable tensor: a float32 leaf that requires a gradient. The handle shares its identity
// with the model's own (Adapter::a): the pool below only moves its storage.
struct Parameter {
  std::string name;  // its key in checkpoints and adapter files
  at::Tensor value;
  double lr_multiplier = 1;
  double weight_decay = 0;
};

// A range of the flat buffers with one rate and one decay.
struct ParameterRange {
  std::int64_t begin = 0, end = 0;  // elements
  double lr_multiplier = 1;
  double weight_decay = 0;
};

// LoRA+ (arXiv 2402.12354): lora_B and one-dimensional tensors learn `ratio` times as fast.
void apply_loraplus(std::vector<Parameter>& parameters, double ratio);

// Moves the parameters into one flat buffer and gives them views of a flat gradient buffer.
// Each tensor starts at a multiple of 16 elements; the gaps stay 0.
class ParameterPool {
 public:
  // Throws Error for an empty list or a duplicate name.
  explicit ParameterPool(std::vector<Parameter> parameters);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::span<const ParameterRange> ranges() const { return ranges_; }
  at::Tensor& values() { return values_; }                           // [N] float32
  at::Tensor& gradients() { return gradients_; }                     // [N] float32
  at::Tensor view(const at::Tensor& flat, std::size_t index) const;  // a parameter's part of `flat`
  std::int64_t trainable() const { return trainable_; }              // without the gaps

  void zero_gradients();
  // gradients *= factor; with a device scalar no value passes through the host.
  void scale_gradients(const at::Tensor& factor);
  void scale_gradients(double factor);
  // Euclidean norm over all gradients, float64 scalar on the pool's device. On the CPU summed in
  // blocks of fixed size, so that the number of threads does not change it.
  at::Tensor gradient_norm() const;
  // Tells autograd that `values` were written through a raw pointer.
  void mark_written();

  TensorMap snapshot() const;  // copies, by name, on the CPU
  // Throws Error naming `where` unless names and shapes are the same.
  void restore(const TensorMap& tensors, const std::string& where);

 private:
  std::vector<Parameter> parameters_;
  std::vector<std::int64_t> offsets_;
  std::vector<ParameterRange> ranges_;
  at::Tensor values_, gradients_;
  std::int64_t trainable_ = 0;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // One update of pool.values() from pool.gradients(); `lr` before the multipliers.
  virtual void step(ParameterPool& pool, double lr) = 0;
  // Everything a continued run needs ("step", "exp_avg.<name>", ...), copies on the CPU.
  virtual TensorMap state(const ParameterPool& pool) const = 0;
  // Throws Error naming `where` for a missing tensor or a wrong shape.
  virtual void restore(const ParameterPool& pool, const TensorMap& state,
                       const std::string& where) = 0;
};

struct OptimizerRow {
  std::string_view name;
  std::string_view help;
  std::unique_ptr<Optimizer> (*make)(const OptimisationConfig& settings);
};

std::span<const OptimizerRow> optimizer_rows();
// The one called settings.optimizer; absent betas are its own defaults (AdamW 0.9, 0.999; Lion 0.9,
// 0.99). Throws Error (usage) for an unknown name.
std::unique_ptr<Optimizer> make_optimizer(const OptimisationConfig& settings);

}  // namespace lora
