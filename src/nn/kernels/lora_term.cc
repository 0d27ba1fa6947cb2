// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/lora_term.h"

#include "io/aten.h"
#include "nn/kernels/product.h"
#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

constexpr std::size_t kTensors = 5;  // weight, bias, a, b, inner

std::vector<std::int64_t> with_last(const at::Tensor& x, std::int64_t last) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = last;
  return shape;
}

}  // namespace

LoraTerm term_of(const Layer& layer) {
  LoraTerm term{.weight = layer.weight.detach(), .bias = layer.bias};
  if (term.weight.stride(1) != 1 && term.weight.stride(0) != 1) {
    term.weight = term.weight.contiguous();
  }
  if (layer.adapter != nullptr) {
    term.a = layer.adapter->a;
    term.b = layer.adapter->b;
    term.scale = layer.adapter->scale * layer.adapter->weight;
  }
  return term;
}

at::Tensor term_forward(LoraTerm& term, const at::Tensor& x) {
  const std::int64_t out = term.weight.size(0), rows = x.numel() / x.size(-1);
  at::Tensor y = at::empty(with_last(x, out), x.options());
  const Matrix to = matrix(y), from = matrix(x);
  if (term.a.defined()) {
    const at::Tensor a = term.a.to(x.scalar_type());
    const at::Tensor b = (term.b * term.scale).to(x.scalar_type());
    term.inner = at::empty({rows, a.size(0)}, x.options());
    multiply(from, matrix(a).transposed(), matrix(term.inner));
    multiply(matrix(term.inner), matrix(b).transposed(), to);
  }
  const void* bias = term.bias.defined() ? term.bias.data_ptr() : nullptr;
  multiply(from, matrix(term.weight).transposed(), to, term.a.defined(), bias);
  return y;
}

InputGradient::InputGradient(const at::Tensor& like, std::size_t contributions)
    : type_(like.scalar_type()) {
  // One product rounds once by itself; several are summed in float32.
  sum_ = at::empty(like.sizes(), like.options().dtype(contributions > 1 ? at::kFloat : type_));
}

void InputGradient::add(const at::Tensor& dy, const at::Tensor& matrix_in) {
  multiply(matrix(dy), matrix(matrix_in), matrix(sum_), !empty_);
  empty_ = false;
}

at::Tensor InputGradient::take() {
  if (empty_) sum_.zero_();
  if (sum_.scalar_type() == type_) return sum_;
  at::Tensor out = at::empty(sum_.sizes(), sum_.options().dtype(type_));
  for_elements(out.numel(), [&](std::int64_t begin, std::size_t count) {
    simd::narrow_range(element_of(out), count, sum_.data_ptr<float>() + begin, 1,
                       at_element(out, begin));
  });
  return out;
}

TermGradient term_backward(const LoraTerm& term, const at::Tensor& dy, const at::Tensor& x,
                           InputGradient* dx) {
  if (dx != nullptr) dx->add(dy, term.weight);
  if (!term.a.defined()) return {};
  const at::Tensor b = (term.b * term.scale).to(dy.scalar_type());
  const at::Tensor u = at::empty_like(term.inner);
  multiply(matrix(dy), matrix(b), matrix(u));
  if (dx != nullptr) dx->add(u, term.a.to(dy.scalar_type()));
  TermGradient gradient{.a = at::empty_like(term.a), .b = at::empty_like(term.b)};
  multiply(matrix(u).transposed(), matrix(x), matrix(gradient.a));
  multiply(matrix(dy).transposed(), matrix(term.inner), matrix(gradient.b));
  gradient.b.mul_(term.scale);
  return gradient;
}

std::size_t contributions(const LoraTerm& term) { return term.a.defined() ? 2 : 1; }

void save_terms(std::span<const LoraTerm> terms, torch::autograd::variable_list& tensors,
                torch::autograd::AutogradContext& context) {
  std::vector<double> scales;
  for (const LoraTerm& term : terms) {
    tensors.insert(tensors.end(), {term.weight, term.bias, term.a, term.b, term.inner});
    scales.push_back(term.scale);
  }
  context.saved_data["scales"] = scales;
}

std::vector<LoraTerm> load_terms(const torch::autograd::variable_list& tensors, std::size_t first,
                                 torch::autograd::AutogradContext& context) {
  std::vector<LoraTerm> terms;
  for (const double scale : context.saved_data["scales"].toDoubleVector()) {
    const at::Tensor* part = &tensors[first + kTensors * terms.size()];
    terms.push_back({part[0], part[1], part[2], part[3], scale, part[4]});
  }
  return terms;
}

}  // namespace lora::kernels
