// SPDX-License-Identifier: Apache-2.0
// Each operator: the backend that takes the input, else plain ATen.
#include "nn/ops.h"

#include "base/table.h"
#include "io/aten.h"
#include "nn/backends.h"
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

at::Tensor activate(const at::Tensor& x, Activation activation) {
  return plain::activate(x, activation);
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset) {
  return run(&Backend::rms_norm, plain::rms_norm, x, weight, eps, offset);
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps,
                                               double offset) {
  return run(&Backend::add_rms_norm, plain::add_rms_norm, x, delta, weight, eps, offset);
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps) {
  return run(&Backend::layer_norm, plain::layer_norm, x, weight, bias, eps);
}

std::pair<at::Tensor, at::Tensor> add_layer_norm(const at::Tensor& x, const at::Tensor& delta,
                                                 const at::Tensor& weight, const at::Tensor& bias,
                                                 double eps) {
  return run(&Backend::add_layer_norm, plain::add_layer_norm, x, delta, weight, bias, eps);
}

at::Tensor group_norm(const at::Tensor& x, const GroupNormWeights& norm, bool silu,
                      const at::Tensor& shift) {
  return run(&Backend::group_norm, plain::group_norm, x, norm, silu, shift);
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  return run(&Backend::rotate, plain::rotate, x, cos, sin);
}

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  return run(&Backend::gated, plain::gated, gate, up, activation);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionMask& mask, double softcap) {
  return run(&Backend::attention, plain::attention, q, k, v, scale, mask, softcap);
}

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& labels, double softcap) {
  return run(&Backend::cross_entropy, plain::linear_cross_entropy, hidden, weight, labels, softcap);
}

}  // namespace lora
