// SPDX-License-Identifier: Apache-2.0
// Parts of a decoder block that read one input with several layers: the places where one fused
// node can replace many operators.
#pragma once

#include "nn/layer.h"
#include "nn/ops.h"

namespace lora {

struct Qkv {
  at::Tensor q, k, v;
};

// q(x), k(x), v(x); x [..., in] -> [..., out of each layer].
Qkv project_qkv(const Layer& q, const Layer& k, const Layer& v, const at::Tensor& x);

// down(activation(gate(x)) * up(x)): the gated feed-forward (arXiv 2002.05202).
at::Tensor gated_mlp(const Layer& gate, const Layer& up, const Layer& down, const at::Tensor& x,
                     Activation activation);

}  // namespace lora
