// SPDX-License-Identifier: Apache-2.0
// GroupNorm (arXiv 1803.08494) with an addition per channel before it and SiLU after it, as one
// node: two passes over memory forward, two back; only x and numbers per channel are saved.
// Contract: group_norm() of nn/ops.h; twin: plain::group_norm.
#pragma once

#include <ATen/core/Tensor.h>

#include "nn/kernels/types.h"

namespace lora::kernels {

// x [B, C, H, W], float32 or bfloat16 on the CPU; the weights are frozen. The result is in
// channels_last memory.
at::Tensor group_norm(const at::Tensor& x, const GroupNormWeights& norm, bool silu,
                      const at::Tensor& shift);

}  // namespace lora::kernels
