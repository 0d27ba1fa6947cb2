// SPDX-License-Identifier: Apache-2.0
// Building material shared by text encoder, UNet and VAE: where weights come from, and the layers
// made of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nn/layer.h"
#include "nn/ops.h"

namespace lora {

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

// Hands out the tensors of one part under their diffusers names and makes layers of them. The
// source converts: mapped files, the original layout, or random numbers.
struct SdModules {
  // The tensor in any dtype; `shape` is checked (or, for random weights, made).
  std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)> take;
  std::function<bool(const std::string& name)> has;
  std::string where;  // file or folder, for messages
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::Device(at::kCPU);

  at::Tensor tensor(const std::string& name, at::IntArrayRef shape) const;
  Layer linear(const std::string& name, std::int64_t in, std::int64_t out, bool bias = true) const;
  // A k x k convolution; its weight is kept in channels_last.
  Layer conv(const std::string& name, std::int64_t in, std::int64_t out, std::int64_t k,
             std::int64_t stride = 1, std::int64_t padding = 0) const;
  Norm norm(const std::string& name, std::int64_t width, double eps) const;
  GroupNorm group_norm(const std::string& name, std::int64_t channels, std::int64_t groups,
                       double eps) const;
};

// A source of random numbers of the scale that trained weights have.
SdModules random_modules(at::ScalarType dtype, at::Device device, std::int64_t seed);

std::int64_t elements(const Layer& layer);

}  // namespace lora
