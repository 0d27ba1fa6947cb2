// SPDX-License-Identifier: Apache-2.0
// Head and cross-entropy together, in chunks of rows: logits of one chunk exist at a time, and the
// gradient of hidden is formed while they are hot (forward), only scaled in backward. Contract:
// linear_cross_entropy() of nn/ops.h; twin: plain::linear_cross_entropy.
#pragma once

#include <ATen/core/Tensor.h>

namespace lora::kernels {

// hidden float32 or bfloat16 on the CPU, weight frozen and of the same dtype.
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& labels, double softcap);

}  // namespace lora::kernels
