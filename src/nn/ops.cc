// SPDX-License-Identifier: Apache-2.0
// Chooses between the fused kernels and plain ATen.
#include "nn/ops.h"

#include <iterator>
#include <vector>

#include "base/table.h"
#include "io/aten.h"
#include "nn/kernels/attention.h"
#include "nn/kernels/choice.h"
#include "nn/kernels/cross_entropy.h"
#include "nn/kernels/elementwise.h"
#include "nn/kernels/group_norm.h"
#include "nn/ops_plain.h"

namespace lora {
namespace {

struct ActivationRow {
  std::string_view name;
  Activation activation;
};

constexpr ActivationRow kActivations[] = {
    {"silu", Activation::silu},           {"swish", Activation::silu},
    {"gelu", Activation::gelu},           {"gelu_new", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh}, {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"relu", Activation::relu},
};

}  // namespace

Activation activation_from_name(std::string_view name, std::string_view where) {
  const std::span<const ActivationRow> table = kActivations;
  if (const ActivationRow* row = find_row(table, name)) return row->activation;
  fail(where, " '", name, "': unknown (known: ", join_words(names_of(table)), ")",
       did_you_mean(name, names_of(table)));
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset) {
  if (kernels::usable(x) && !weight.requires_grad()) {
    return kernels::rms_norm(x, weight, eps, offset);
  }
  return plain::rms_norm(x, weight, eps, offset);
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps,
                                               double offset) {
  if (kernels::usable(x) && !weight.requires_grad()) {
    return kernels::add_rms_norm(x, delta, weight, eps, offset);
  }
  const at::Tensor sum = x + delta;
  return {sum, plain::rms_norm(sum, weight, eps, offset)};
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps) {
  if (kernels::usable(x) && !weight.requires_grad()) {
    return kernels::layer_norm(x, weight, bias, eps);
  }
  return at::layer_norm(x, {weight.size(0)}, weight, bias, eps);
}

std::pair<at::Tensor, at::Tensor> add_layer_norm(const at::Tensor& x, const at::Tensor& delta,
                                                 const at::Tensor& weight, const at::Tensor& bias,
                                                 double eps) {
  if (kernels::usable(x) && !weight.requires_grad()) {
    return kernels::add_layer_norm(x, delta, weight, bias, eps);
  }
  const at::Tensor sum = x + delta;
  return {sum, at::layer_norm(sum, {weight.size(0)}, weight, bias, eps)};
}

at::Tensor group_norm(const at::Tensor& x, const GroupNormWeights& norm, bool silu,
                      const at::Tensor& shift) {
  if (kernels::usable(x) && x.dim() == 4 && !norm.weight.requires_grad()) {
    return kernels::group_norm(x, norm, silu, shift);
  }
  return plain::group_norm(x, norm, silu, shift);
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  if (kernels::usable(x)) return kernels::rotate(x, cos, sin);
  return plain::rotate(x, cos, sin);
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  return plain::activate(x, activation);
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  return gated(gate, up, Activation::silu);
}

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  if (kernels::usable(gate)) {
    return kernels::gated(gate, up, activation);
  }
  return plain::gated(gate, up, activation);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionMask& mask, double softcap) {
  if (kernels::usable_attention(q, k, mask)) {
    return kernels::attention(q, k, v, scale, mask, softcap);
  }
  return plain::attention(q, k, v, scale, mask, softcap);
}

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& labels, double softcap) {
  if (kernels::usable(hidden) && !weight.requires_grad() &&
      weight.scalar_type() == hidden.scalar_type()) {
    return kernels::linear_cross_entropy(hidden, weight, labels, softcap);
  }
  return plain::linear_cross_entropy(hidden, weight, labels, softcap);
}

}  // namespace lora
