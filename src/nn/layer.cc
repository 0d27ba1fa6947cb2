// SPDX-License-Identifier: Apache-2.0
#include "nn/layer.h"

#include <algorithm>

#include "base/error.h"
#include "io/aten.h"
#include "nn/backends.h"

namespace lora {
namespace {

thread_local bool training = false;

at::Tensor plain_conv(const at::Tensor& x, const LayerTerm& term) {
  return at::conv2d(x, term.weight.dense(), term.bias, term.stride, term.padding);
}

at::Tensor base_forward(const at::Tensor& x, const LayerTerm& term) {
  if (term.is_conv) return run(&Backend::conv, plain_conv, x, term);
  return at::linear(x, term.weight.dense(), term.bias);
}

at::Tensor dropped(const at::Tensor& x, const LowRank& adapter) {
  return adapter.dropout > 0 ? at::dropout(x, adapter.dropout, true) : x;
}

// B(A(x)) in float32, without scale.
at::Tensor low_rank(const at::Tensor& x, const LayerTerm& term, const LowRank& adapter) {
  const at::Tensor x32 = x.to(at::kFloat);
  if (term.is_conv) {
    return at::conv2d(at::conv2d(x32, adapter.a, {}, term.stride, term.padding), adapter.b);
  }
  return at::linear(at::linear(x32, adapter.a), adapter.b);
}

at::Tensor delta_of(const LayerTerm& term, const LowRank& adapter) {
  const at::Tensor delta = at::matmul(adapter.b.flatten(1), adapter.a.flatten(1));
  return (delta * adapter.scale).view(term.weight.sizes());
}

// ||W + scale B A|| per output feature, detached (DoRA, section 4.3).
at::Tensor dora_norm(const LayerTerm& term, const LowRank& adapter) {
  const at::Tensor full = term.weight.dense().to(at::kFloat) + delta_of(term, adapter);
  return full.flatten(1).norm(2, 1).detach();
}

at::Tensor dora_forward(const at::Tensor& x, const LayerTerm& term) {
  if (term.adapters.size() > 1) {
    fail("DoRA beside another adapter in one layer (found ", term.adapters.size(),
         " active adapters, expected 1); use adapters without DoRA");
  }
  const LowRank& adapter = term.adapters[0];
  const at::Tensor in = dropped(x, adapter);
  at::Tensor factor = adapter.magnitude / dora_norm(term, adapter);
  if (term.is_conv) factor = factor.view({1, -1, 1, 1});
  // PEFT: with dropout the base result is computed from the dropped input inside the correction.
  LayerTerm plain = term;
  plain.weight = term.weight.dense();  // a handle of its own: what is kept for `term` has its bias
  plain.bias = at::Tensor();
  const at::Tensor base = base_forward(in, plain).to(at::kFloat);
  const at::Tensor extra =
      (factor - 1) * base + factor * low_rank(in, term, adapter) * adapter.scale;
  return (base_forward(x, term).to(at::kFloat) + extra).to(x.scalar_type());
}

// The twin of the fused layers: the sum as it is written. A convolution's base may still be fused.
at::Tensor plain_forward(const at::Tensor& x, const LayerTerm& term) {
  if (term.adapters.empty()) return base_forward(x, term);
  const bool dora = std::any_of(term.adapters.begin(), term.adapters.end(),
                                [](const LowRank& one) { return one.magnitude.defined(); });
  if (dora) return dora_forward(x, term);
  const at::Tensor y = base_forward(x, term);
  at::Tensor sum = y.to(at::kFloat);
  for (const LowRank& adapter : term.adapters) {
    sum = sum + low_rank(dropped(x, adapter), term, adapter) * adapter.scale;
  }
  return sum.to(y.scalar_type());
}

std::vector<at::Tensor> plain_linears(const at::Tensor& x, std::span<const LayerTerm> terms) {
  std::vector<at::Tensor> outputs;
  for (const LayerTerm& term : terms) outputs.push_back(plain_forward(x, term));
  return outputs;
}

}  // namespace

bool training_mode() { return training; }
TrainingMode::TrainingMode(bool on) : before_(training) { training = on; }
TrainingMode::~TrainingMode() { training = before_; }

LayerTerm term_of(const Layer& layer) {
  LayerTerm term{.weight = layer.weight,
                 .bias = layer.bias,
                 .is_conv = layer.is_conv,
                 .stride = layer.stride,
                 .padding = layer.padding};
  const auto taken = [](const Adapter& entry, const at::Tensor& tensor) {
    return entry.trains || !tensor.defined() ? tensor : tensor.detach();
  };
  for (const Adapter& entry : layer.adapters) {
    if (!entry.active) continue;
    term.adapters.push_back({.a = taken(entry, entry.a),
                             .b = taken(entry, entry.b),
                             .magnitude = taken(entry, entry.magnitude),
                             .scale = entry.scale * entry.weight,
                             .dropout = training && entry.trains ? entry.dropout : 0,
                             .trains = entry.trains});
  }
  return term;
}

at::Tensor forward_term(const at::Tensor& x, const LayerTerm& term) {
  if (term.is_conv) return run(&Backend::pointwise, plain_forward, x, term);
  return run(&Backend::linears, plain_linears, x, {&term, 1})[0];
}

at::Tensor Layer::forward(const at::Tensor& x) const { return forward_term(x, term_of(*this)); }

at::Tensor adapter_delta(const Layer& layer) {
  const LayerTerm term = term_of(layer);
  at::Tensor sum = delta_of(term, term.adapters.at(0));
  for (std::size_t i = 1; i < term.adapters.size(); ++i) {
    sum = sum + delta_of(term, term.adapters[i]);
  }
  return sum;
}

}  // namespace lora
