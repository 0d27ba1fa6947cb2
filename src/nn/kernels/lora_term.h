// SPDX-License-Identifier: Apache-2.0
// The arithmetic of one frozen layer with LoRA, shared by the nodes of lora_linear.h.
// N rows (tokens), r rank.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <span>
#include <vector>

#include "nn/layer.h"

namespace lora::kernels {

struct LoraTerm {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out] or undefined
  at::Tensor a, b;    // float32 [r, in], [out, r]; undefined: no adapter
  double scale = 0;
  at::Tensor inner;  // x A^T [N, r] in the dtype of x; saved for backward
};

LoraTerm term_of(const Layer& layer);

// y [..., out] = the layer at x [..., in], both contiguous. Sets term.inner where there is an
// adapter.
at::Tensor term_forward(LoraTerm& term, const at::Tensor& x);

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

struct TermGradient {
  at::Tensor a, b;  // float32; undefined without adapter
};

// dA and dB, and dx += its part where `dx` is not nullptr. dy contiguous.
TermGradient term_backward(const LoraTerm& term, const at::Tensor& dy, const at::Tensor& x,
                           InputGradient* dx);

// How many products a term adds to dx.
std::size_t contributions(const LoraTerm& term);

// Terms in and out of an autograd context: five tensors and one number each.
void save_terms(std::span<const LoraTerm> terms, torch::autograd::variable_list& tensors,
                torch::autograd::AutogradContext& context);
std::vector<LoraTerm> load_terms(const torch::autograd::variable_list& tensors, std::size_t first,
                                 torch::autograd::AutogradContext& context);

}  // namespace lora::kernels
