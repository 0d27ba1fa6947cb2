// SPDX-License-Identifier: Apache-2.0
// Operators that several families share. Each is differentiable in x. float32 inside, dtype of x
// outside. nn/kernels/ holds the fused CPU versions; these functions choose.
// Shapes: B rows, T positions, D hidden, H heads, K key/value heads, d = head dimension.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>
#include <utility>

#include "nn/kernels/types.h"

namespace lora {

// "silu", "gelu_new", "gelu_pytorch_tanh", ... as config.json spells them; throws Error naming
// `where` and the known ones.
Activation activation_from_name(std::string_view name, std::string_view where);

at::Tensor activate(const at::Tensor& x, Activation activation);

// x * rsqrt(mean(x^2) + eps) * (weight + offset), over the last dimension; offset 1 for gemma.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset = 0);
// {x + delta, rms_norm(x + delta)}: a residual addition and the norm that follows it.
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps,
                                               double offset = 0);

// LayerNorm over the last dimension, weight and bias [D]; and {x + delta, its norm}.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps);
std::pair<at::Tensor, at::Tensor> add_layer_norm(const at::Tensor& x, const at::Tensor& delta,
                                                 const at::Tensor& weight, const at::Tensor& bias,
                                                 double eps);

// GroupNorm over [B, C, H, W], then SiLU where `silu`. `shift` [B, C] (may be
// undefined) is added to x before it, the same for all positions.
at::Tensor group_norm(const at::Tensor& x, const GroupNormWeights& norm, bool silu,
                      const at::Tensor& shift = {});

// Rotary embedding, half-split layout (Hugging Face). x [B, T, H, d]; cos, sin [B, T, d] or
// [1, T, d], float32.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

// activation(gate) * up
at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, Activation activation);

// q [B, T, H, d], k and v [B, S, K, d] (K divides H) -> [B, T, H, d].
// softcap > 0: scores = softcap * tanh(scores / softcap) before the mask (gemma2).
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionMask& mask, double softcap = 0);

// Sum of the cross-entropies of the labelled positions: hidden [N, D] (only labelled rows),
// labels [N] int64, head weight [V, D]; logits are made in chunks, never all at once.
// softcap as above (final logits of gemma2). Returns a float32 scalar.
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& labels, double softcap = 0);

}  // namespace lora
