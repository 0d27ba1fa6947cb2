// SPDX-License-Identifier: Apache-2.0
// Attention in blocks of queries and keys, recomputed in backward: no [T, S] matrix outlives its
// block (the idea of arXiv 2205.14135). Blocks that no query of theirs may see are skipped, so
// causal, windowed and packed inputs cost less. Contract: attention() of nn/ops.h; twin:
// plain::attention.
#pragma once

#include <ATen/core/Tensor.h>

#include "nn/kernels/types.h"

namespace lora::kernels {

// Without a cache (mask.past == 0), documents contiguous in each row. As many keys as queries, or
// no mask at all.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     const AttentionMask& mask, double softcap);

}  // namespace lora::kernels
