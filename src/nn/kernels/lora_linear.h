// SPDX-License-Identifier: Apache-2.0
// Frozen linear layers with LoRA as one autograd node: y_i = x W_i^T + bias_i + s_i (x A_i^T)
// B_i^T.
//
// The weights get no gradient; saved are x and the small x A^T only. Backward goes through the rank
// first: u = s dy B, dA = u^T x, dB = s dy^T (x A^T), dx = dy W + u A. Products take the dtype of x
// with float32 sums, as autocast does; the gradients of A and B are float32.
// Twin: Layer::forward in plain ATen.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "nn/layer.h"
#include "nn/ops.h"

namespace lora::kernels {

// True where the nodes below may replace Layer::forward for this input: a linear layer of x's dtype
// without DoRA and without active dropout.
bool usable_linear(const Layer& layer, const at::Tensor& x);

// Outputs of several layers on one input; x [..., in] -> [..., out_i].
std::vector<at::Tensor> lora_linears(std::span<const Layer* const> layers, const at::Tensor& x);

// down(gate_function(gate(x)) * up(x)) as one node; the activation is recomputed in backward.
at::Tensor lora_mlp(const Layer& gate, const Layer& up, const Layer& down, const at::Tensor& x,
                    Activation activation);

}  // namespace lora::kernels
