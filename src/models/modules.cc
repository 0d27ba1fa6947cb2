// SPDX-License-Identifier: Apache-2.0
#include "models/modules.h"

#include "base/error.h"
#include "io/aten.h"
#include "io/tensors.h"
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

at::Tensor Modules::tensor(const std::string& name, at::IntArrayRef shape) {
  const at::Tensor stored = source_.take(name, shape);
  if (!at::isFloatingType(stored.scalar_type())) {
    fail(source_.where(), ": tensor '", name, "': dtype ", dtype_name(dtype_of(stored)),
         ", expected F32, BF16 or F16; quantised weights are not supported");
  }
  parameters_ += stored.numel();
  return stored.to(at::TensorOptions(options_.device).dtype(options_.dtype));
}

Layer Modules::linear(const std::string& path, std::int64_t in, std::int64_t out, bool bias) {
  Layer layer{.weight = tensor(path + ".weight", {out, in})};
  if (bias) layer.bias = tensor(path + ".bias", {out});
  return layer;
}

Layer Modules::conv1d(const std::string& path, std::int64_t in, std::int64_t out) {
  return {.weight = tensor(path + ".weight", {in, out}).t().contiguous(),
          .bias = tensor(path + ".bias", {out}),
          .fan_in_fan_out = true};
}

Layer Modules::conv(const std::string& path, std::int64_t in, std::int64_t out, std::int64_t k,
                    std::int64_t stride, std::int64_t padding) {
  at::Tensor weight = tensor(path + ".weight", {out, in, k, k});
  if (k > 1) weight = weight.contiguous(at::MemoryFormat::ChannelsLast);
  return {.weight = weight,
          .bias = tensor(path + ".bias", {out}),
          .is_conv = true,
          .stride = stride,
          .padding = padding};
}

Norm Modules::norm(const std::string& path, std::int64_t width, double eps) {
  return {tensor(path + ".weight", {width}), tensor(path + ".bias", {width}), eps};
}

GroupNorm Modules::group_norm(const std::string& path, std::int64_t channels, std::int64_t groups,
                              double eps) {
  return {{tensor(path + ".weight", {channels}), tensor(path + ".bias", {channels}), groups, eps}};
}

}  // namespace lora
