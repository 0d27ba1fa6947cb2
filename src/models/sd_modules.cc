// SPDX-License-Identifier: Apache-2.0
#include "models/sd_modules.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "base/error.h"
#include "io/aten.h"
#include "nn/observe.h"

namespace lora {

at::Tensor Norm::operator()(const at::Tensor& x) const { return layer_norm(x, weight, bias, eps); }

std::pair<at::Tensor, at::Tensor> Norm::add(const at::Tensor& x, const at::Tensor& delta) const {
  return add_layer_norm(x, delta, weight, bias, eps);
}

at::Tensor GroupNorm::operator()(const at::Tensor& x) const { return group_norm(x, *this, false); }

at::Tensor GroupNorm::silu(const at::Tensor& x, const std::string& name,
                           const at::Tensor& shift) const {
  observe_inside(name, "", [&] { return group_norm(x, *this, false, shift); });
  return group_norm(x, *this, true, shift);
}

at::Tensor SdModules::tensor(const std::string& name, at::IntArrayRef shape) const {
  const at::Tensor stored = take(name, shape);
  if (!stored.is_floating_point()) {
    fail(where, ": tensor '", name, "': holds ", at::toString(stored.scalar_type()),
         " numbers, expected floating point; a quantised model cannot be trained here");
  }
  return stored.to(at::TensorOptions().dtype(dtype).device(device));
}

Layer SdModules::linear(const std::string& name, std::int64_t in, std::int64_t out,
                        bool bias) const {
  Layer layer;
  layer.weight = tensor(name + ".weight", {out, in});
  if (bias) layer.bias = tensor(name + ".bias", {out});
  return layer;
}

Layer SdModules::conv(const std::string& name, std::int64_t in, std::int64_t out, std::int64_t k,
                      std::int64_t stride, std::int64_t padding) const {
  Layer layer;
  const at::Tensor weight = tensor(name + ".weight", {out, in, k, k});
  layer.weight = k > 1 ? weight.contiguous(at::MemoryFormat::ChannelsLast) : weight;
  layer.bias = tensor(name + ".bias", {out});
  layer.is_conv = true;
  layer.stride = stride;
  layer.padding = padding;
  return layer;
}

Norm SdModules::norm(const std::string& name, std::int64_t width, double eps) const {
  return {tensor(name + ".weight", {width}), tensor(name + ".bias", {width}), eps};
}

GroupNorm SdModules::group_norm(const std::string& name, std::int64_t channels, std::int64_t groups,
                                double eps) const {
  return {{tensor(name + ".weight", {channels}), tensor(name + ".bias", {channels}), groups, eps}};
}

SdModules random_modules(at::ScalarType dtype, at::Device device, std::int64_t seed) {
  SdModules source;
  source.dtype = dtype;
  source.device = device;
  source.has = [](const std::string&) { return true; };
  const at::Generator generator =
      at::make_generator<at::CPUGeneratorImpl>(static_cast<std::uint64_t>(seed));
  source.take = [generator, dtype](const std::string& name, at::IntArrayRef shape) {
    const auto options = at::TensorOptions().dtype(dtype);
    if (name.ends_with(".bias")) return at::zeros(shape, options);
    if (shape.size() < 2) return at::ones(shape, options);
    std::int64_t fan_in = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) fan_in *= shape[i];
    const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
    return at::empty(shape, options).uniform_(-bound, bound, generator);
  };
  return source;
}

std::int64_t elements(const Layer& layer) {
  std::int64_t count = layer.weight.defined() ? layer.weight.numel() : 0;
  if (layer.bias.defined()) count += layer.bias.numel();
  return count;
}

}  // namespace lora
