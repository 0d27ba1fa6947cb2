// SPDX-License-Identifier: Apache-2.0
#include "nn/layer.h"

#include "base/error.h"
#include "io/aten.h"
#include "nn/kernels/conv.h"
#include "nn/kernels/lora_linear.h"

namespace lora {
namespace {

thread_local bool training = false;

at::Tensor base_forward(const Layer& layer, const at::Tensor& x) {
  if (layer.is_conv) {
    if (kernels::usable_conv(layer, x)) return kernels::conv(layer, x);
    return at::conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding);
  }
  return at::linear(x, layer.weight, layer.bias);
}

// B(A(x)) in float32, without scale.
at::Tensor low_rank(const Layer& layer, const at::Tensor& x) {
  const Adapter& adapter = *layer.adapter;
  const at::Tensor x32 = x.to(at::kFloat);
  if (layer.is_conv) {
    return at::conv2d(at::conv2d(x32, adapter.a, {}, layer.stride, layer.padding), adapter.b);
  }
  return at::linear(at::linear(x32, adapter.a), adapter.b);
}

// ||W + scale B A|| per output feature, detached (DoRA, section 4.3).
at::Tensor dora_norm(const Layer& layer) {
  const at::Tensor full = layer.weight.to(at::kFloat) + adapter_delta(layer);
  return full.flatten(1).norm(2, 1).detach();
}

at::Tensor per_feature(const at::Tensor& vector, const Layer& layer) {
  return layer.is_conv ? vector.view({1, -1, 1, 1}) : vector;
}

at::Tensor dora_forward(const Layer& layer, const at::Tensor& x, const at::Tensor& dropped,
                        double scale) {
  const at::Tensor factor = per_feature(layer.adapter->magnitude / dora_norm(layer), layer);
  // PEFT: with dropout the base result is computed from the dropped input inside the correction.
  Layer plain = layer;
  plain.adapter = nullptr;
  plain.bias = at::Tensor();
  const at::Tensor base = base_forward(plain, dropped).to(at::kFloat);
  const at::Tensor extra = (factor - 1) * base + factor * low_rank(layer, dropped) * scale;
  return (base_forward(layer, x).to(at::kFloat) + extra).to(x.scalar_type());
}

}  // namespace

bool training_mode() { return training; }
TrainingMode::TrainingMode(bool on) : before_(training) { training = on; }
TrainingMode::~TrainingMode() { training = before_; }

at::Tensor Layer::forward(const at::Tensor& x) const {
  if (kernels::usable_linear(*this, x)) {
    const Layer* const self = this;
    return kernels::lora_linears({&self, 1}, x)[0];
  }
  if (kernels::usable_pointwise(*this, x)) return kernels::pointwise(*this, x);
  if (adapter == nullptr) return base_forward(*this, x);
  const bool drop = training && adapter->dropout > 0;
  const at::Tensor dropped = drop ? at::dropout(x, adapter->dropout, true) : x;
  const double strength = adapter->scale * adapter->weight;
  if (adapter->magnitude.defined()) return dora_forward(*this, x, dropped, strength);
  const at::Tensor y = base_forward(*this, x);
  return (y.to(at::kFloat) + low_rank(*this, dropped) * strength).to(y.scalar_type());
}

at::Tensor adapter_delta(const Layer& layer) {
  const Adapter& adapter = *layer.adapter;
  const at::Tensor delta = at::matmul(adapter.b.flatten(1), adapter.a.flatten(1));
  return (delta * (adapter.scale * adapter.weight)).view(layer.weight.sizes());
}

}  // namespace lora
