// SPDX-License-Identifier: Apache-2.0
// RMSNorm, LayerNorm, rotary embedding and gated activations, each one pass over memory forward and
// one back. Contracts of nn/ops.h; their twins in plain ATen are in nn/ops_plain.h. x is
// float32 or bfloat16 on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "nn/kernels/simd.h"
#include "nn/kernels/types.h"

namespace lora::kernels {

// Differentiable in x alone: the norms' weights are frozen.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset);

// {x + delta, rms_norm(x + delta)}.
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps, double offset);

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps);
// {x + delta, layer_norm(x + delta)}.
std::pair<at::Tensor, at::Tensor> add_layer_norm(const at::Tensor& x, const at::Tensor& delta,
                                                 const at::Tensor& weight, const at::Tensor& bias,
                                                 double eps);

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, Activation activation);

simd::Gate gate_of(Activation activation);

}  // namespace lora::kernels
