// SPDX-License-Identifier: Apache-2.0
// Frozen linear layers with LoRA as one autograd node: y_i = x W_i^T + bias_i + s_i (x A_i^T)
// B_i^T, the last part summed over the layer's adapters.
//
// The weights get no gradient; saved are x and the small x A^T only. Backward goes through the rank
// first: u = s dy B, dA = u^T x, dB = s dy^T (x A^T), dx = dy W + u A. Products take the dtype of x
// with float32 sums, as autocast does; the gradients of A and B are float32.
// Twin: Layer::forward in plain ATen.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "nn/kernels/types.h"

namespace lora::kernels {

// Outputs of several linear layers, without DoRA and dropout, on one input: x [..., in] ->
// [..., out_i], all in the dtype of x.
std::vector<at::Tensor> lora_linears(const at::Tensor& x, std::span<const LayerTerm> terms);

// down(gate_function(gate(x)) * up(x)) as one node; the activation is recomputed in backward.
at::Tensor lora_mlp(const at::Tensor& x, const LayerTerm& gate, const LayerTerm& up,
                    const LayerTerm& down, Activation activation);

}  // namespace lora::kernels
