// SPDX-License-Identifier: Apache-2.0
// Attention in blocks of queries, recomputed in backward: no [T, T] matrix outlives its block
// (the idea of arXiv 2205.14135). A block reads only the keys that some query of it may see, so
// causal, windowed and packed inputs skip what is masked. Contract: attention() of nn/ops.h;
// twin: plain::attention.
#pragma once

#include <ATen/core/Tensor.h>

#include "nn/ops.h"

namespace lora::kernels {

// Without a cache (mask.past == 0, as many queries as keys), documents contiguous in each row.
bool usable_attention(const at::Tensor& q, const at::Tensor& k, const AttentionMask& mask);

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionMask& mask, double softcap);

}  // namespace lora::kernels
