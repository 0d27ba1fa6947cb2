// SPDX-License-Identifier: Apache-2.0
// What networks are made of: the frozen layers and norms that a source of weights gives, by name,
// with every shape checked.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "io/weight_source.h"
#include "nn/layer.h"
#include "nn/ops.h"

namespace lora {

struct LoadOptions {
  at::ScalarType dtype;  // compute dtype: float32, bfloat16, float16 (CUDA)
  at::Device device = at::Device(at::kCPU);
};

// LayerNorm over the last dimension; weight, bias [C]. Computed in float32.
struct Norm {
  at::Tensor weight, bias;
  double eps = 1e-5;

  at::Tensor operator()(const at::Tensor& x) const;
  // {x + delta, norm of it}
  std::pair<at::Tensor, at::Tensor> add(const at::Tensor& x, const at::Tensor& delta) const;
};

// GroupNorm over [B, C, H, W].
struct GroupNorm : GroupNormWeights {
  at::Tensor operator()(const at::Tensor& x) const;
  // SiLU of the norm, whose output is observed as `name`; `shift` [B, C] (may be undefined) is
  // added to x first.
  at::Tensor silu(const at::Tensor& x, const std::string& name, const at::Tensor& shift = {}) const;
};

// Hands out the tensors of one network in the compute dtype and on the device (without a copy where
// they are stored so) and makes layers of them. `path`: the name without ".weight", ".bias".
class Modules {
 public:
  Modules(WeightSource& source, LoadOptions options) : source_(source), options_(options) {}

  bool has(const std::string& name) const { return source_.has(name); }
  at::ScalarType dtype() const { return options_.dtype; }
  std::int64_t parameters() const { return parameters_; }  // numbers handed out so far

  // Throws Error for a tensor that is missing, has another shape or holds no floating point.
  at::Tensor tensor(const std::string& name, at::IntArrayRef shape);

  // weight [out, in], bias [out].
  Layer linear(const std::string& path, std::int64_t in, std::int64_t out, bool bias = true);
  // GPT-2's Conv1D: a linear layer stored [in, out]; transposed here.
  Layer conv1d(const std::string& path, std::int64_t in, std::int64_t out);
  // A k x k convolution; its weight is kept in channels_last.
  Layer conv(const std::string& path, std::int64_t in, std::int64_t out, std::int64_t k,
             std::int64_t stride = 1, std::int64_t padding = 0);
  Norm norm(const std::string& path, std::int64_t width, double eps);
  GroupNorm group_norm(const std::string& path, std::int64_t channels, std::int64_t groups,
                       double eps);

 private:
  WeightSource& source_;
  LoadOptions options_;
  std::int64_t parameters_ = 0;
};

}  // namespace lora
