// SPDX-License-Identifier: Apache-2.0
// The operators of nn/ops.h in plain ATen: the reference of the fused ones, and the fallback on
// other hardware. Same contracts.
#pragma once

#include "nn/ops.h"

namespace lora::plain {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset = 0);
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps,
                                               double offset = 0);
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps);
std::pair<at::Tensor, at::Tensor> add_layer_norm(const at::Tensor& x, const at::Tensor& delta,
                                                 const at::Tensor& weight, const at::Tensor& bias,
                                                 double eps);
at::Tensor group_norm(const at::Tensor& x, const GroupNormWeights& norm, bool silu,
                      const at::Tensor& shift = {});
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);
at::Tensor activate(const at::Tensor& x, Activation activation);
at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, Activation activation);
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionMask& mask, double softcap = 0);
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& labels, double softcap = 0);

// True where query i may see key j: [B or 1, 1, T, S]; undefined where every pair may.
at::Tensor visible(const AttentionMask& mask, std::int64_t queries, std::int64_t keys,
                   at::Device device);

}  // namespace lora::plain
