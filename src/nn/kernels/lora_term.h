// SPDX-License-Identifier: Apache-2.0
// The arithmetic of one frozen linear layer with LoRA, shared by the nodes of lora_linear.h.
// N rows (tokens), r rank: the sum over the adapters, which are computed side by side as one.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "nn/kernels/types.h"

namespace lora::kernels {

// y [..., out] = the layer at x [..., in], both contiguous. `inner`, for backward, becomes x A^T
// [N, r] in the dtype of x; undefined without adapters.
at::Tensor term_forward(const LayerTerm& term, const at::Tensor& x, at::Tensor& inner);

// Sum of the input gradients of layers that share an input [N, in]: float32 until it is read.
class InputGradient {
 public:
  InputGradient(const at::Tensor& like, std::size_t contributions);
  void add(const at::Tensor& dy, const at::Tensor& matrix);  // += dy matrix
  at::Tensor take();                                         // in the dtype of `like`

 private:
  at::Tensor sum_;
  at::ScalarType type_;
  bool empty_ = true;
};

// How many products a term adds to dx.
std::size_t contributions(const LayerTerm& term);

// True where some adapter gets a gradient.
bool trains(const LayerTerm& term);

// Appends dA and dB (float32) of each adapter that trains; dx += the term's part where `dx` is not
// nullptr. dy contiguous; undefined: no gradient, and undefined ones are appended. x and inner are
// read only for adapters that train.
void term_backward(const LayerTerm& term, const at::Tensor& inner, const at::Tensor& dy,
                   const at::Tensor& x, InputGradient* dx,
                   torch::autograd::variable_list& gradients);

}  // namespace lora::kernels
