// SPDX-License-Identifier: Apache-2.0
#include "nn/backends.h"

#include <algorithm>

namespace lora {
namespace {

thread_local bool fused = true;

bool float_or_bf16_on_cpu(const at::Tensor& x) {
  return x.is_cpu() && x.numel() > 0 &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

// Norms: their weights get no gradient.
bool frozen(const at::Tensor&, const at::Tensor& weight, double, double) {
  return !weight.requires_grad();
}
bool frozen_add(const at::Tensor&, const at::Tensor&, const at::Tensor& weight, double, double) {
  return !weight.requires_grad();
}
bool frozen_bias(const at::Tensor&, const at::Tensor& weight, const at::Tensor&, double) {
  return !weight.requires_grad();
}
bool frozen_bias_add(const at::Tensor&, const at::Tensor&, const at::Tensor& weight,
                     const at::Tensor&, double) {
  return !weight.requires_grad();
}
bool frozen_picture(const at::Tensor& x, const GroupNormWeights& norm, bool, const at::Tensor&) {
  return x.dim() == 4 && !norm.weight.requires_grad();
}

// No cache of keys; as many keys as queries, or no mask at all.
bool whole_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor&, double,
                     const AttentionMask& mask, double) {
  const bool masked = mask.causal || mask.window > 0 || mask.documents.defined();
  return float_or_bf16_on_cpu(k) && mask.past == 0 && q.size(1) > 1 &&
         (q.size(1) == k.size(1) || !masked) && (mask.causal || mask.window == 0) &&
         q.scalar_type() == k.scalar_type();
}

bool frozen_head(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor&, double) {
  return !weight.requires_grad() && weight.scalar_type() == hidden.scalar_type();
}

// Weight and bias where x is, in its number format.
bool same_numbers(const at::Tensor& x, const LayerTerm& term) {
  return term.weight.device() == x.device() && term.weight.dtype() == x.scalar_type() &&
         (!term.bias.defined() || term.bias.scalar_type() == x.scalar_type());
}

// Float32 adapters, no DoRA, no dropout at work.
bool plain_adapters(const LayerTerm& term) {
  return std::all_of(term.adapters.begin(), term.adapters.end(), [](const LowRank& one) {
    return !one.magnitude.defined() && one.dropout == 0 && one.a.scalar_type() == at::kFloat &&
           one.b.scalar_type() == at::kFloat;
  });
}

bool linear(const at::Tensor& x, const LayerTerm& term) {
  return !term.is_conv && same_numbers(x, term) && plain_adapters(term);
}
bool all_linear(const at::Tensor& x, std::span<const LayerTerm> terms) {
  return std::all_of(terms.begin(), terms.end(),
                     [&](const LayerTerm& term) { return linear(x, term); });
}
bool linear_mlp(const at::Tensor& x, const LayerTerm& gate, const LayerTerm& up,
                const LayerTerm& down, Activation) {
  return linear(x, gate) && linear(x, up) && linear(x, down);
}

bool convolution(const at::Tensor& x, const LayerTerm& term) {
  return x.dim() == 4 && term.is_conv && same_numbers(x, term) && x.size(1) == term.weight.size(1);
}
bool pointwise(const at::Tensor& x, const LayerTerm& term) {
  return convolution(x, term) && term.weight.size(2) == 1 && term.weight.size(3) == 1 &&
         term.stride == 1 && term.padding == 0 && plain_adapters(term);
}

constexpr Backend kBackends[] = {
    {.name = "cpu",
     .takes = float_or_bf16_on_cpu,
     .rms_norm = {kernels::rms_norm, frozen},
     .add_rms_norm = {kernels::add_rms_norm, frozen_add},
     .layer_norm = {kernels::layer_norm, frozen_bias},
     .add_layer_norm = {kernels::add_layer_norm, frozen_bias_add},
     .group_norm = {kernels::group_norm, frozen_picture},
     .rotate = {kernels::rotate},
     .gated = {kernels::gated},
     .attention = {kernels::attention, whole_attention},
     .cross_entropy = {kernels::linear_cross_entropy, frozen_head},
     .linears = {kernels::lora_linears, all_linear},
     .mlp = {kernels::lora_mlp, linear_mlp},
     .conv = {kernels::conv, convolution},
     .pointwise = {kernels::pointwise, pointwise}},
};

}  // namespace

std::span<const Backend> backends() {
  return std::span<const Backend>(kBackends).first(fused ? std::size(kBackends) : 0);
}

FusedKernels::FusedKernels(bool on) : before_(fused) { fused = on; }
FusedKernels::~FusedKernels() { fused = before_; }

}  // namespace lora
