// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/lora_term.h"

#include <algorithm>

#include "io/aten.h"
#include "nn/kernels/product.h"
#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

using torch::autograd::variable_list;

std::vector<std::int64_t> with_last(const at::Tensor& x, std::int64_t last) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = last;
  return shape;
}

// A of all adapters, one below the other: [r, in].
at::Tensor joined_a(const LayerTerm& term, at::ScalarType type) {
  std::vector<at::Tensor> parts;
  for (const LowRank& adapter : term.adapters) parts.push_back(adapter.a);
  return (parts.size() == 1 ? parts[0] : at::cat(parts, 0)).to(type);
}

// B of all adapters times their scales, side by side: [out, r].
at::Tensor joined_b(const LayerTerm& term, at::ScalarType type) {
  std::vector<at::Tensor> parts;
  for (const LowRank& adapter : term.adapters) parts.push_back(adapter.b * adapter.scale);
  return (parts.size() == 1 ? parts[0] : at::cat(parts, 1)).to(type);
}

}  // namespace

at::Tensor term_forward(const LayerTerm& term, const at::Tensor& x, at::Tensor& inner) {
  const std::int64_t out = term.weight.size(0), rows = x.numel() / x.size(-1);
  at::Tensor y = at::empty(with_last(x, out), x.options());
  const Matrix to = matrix(y), from = matrix(x);
  const bool adapted = !term.adapters.empty();
  if (adapted) {
    const at::Tensor a = joined_a(term, x.scalar_type()), b = joined_b(term, x.scalar_type());
    inner = at::empty({rows, a.size(0)}, x.options());
    multiply(from, matrix(a).transposed(), matrix(inner));
    multiply(matrix(inner), matrix(b).transposed(), to);
  }
  const at::Tensor weight = term.weight.dense();
  const void* bias = term.bias.defined() ? term.bias.data_ptr() : nullptr;
  multiply(from, matrix(weight).transposed(), to, adapted, bias);
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

std::size_t contributions(const LayerTerm& term) { return term.adapters.empty() ? 1 : 2; }

bool trains(const LayerTerm& term) {
  return std::any_of(term.adapters.begin(), term.adapters.end(),
                     [](const LowRank& adapter) { return adapter.trains; });
}

void term_backward(const LayerTerm& term, const at::Tensor& inner, const at::Tensor& dy,
                   const at::Tensor& x, InputGradient* dx, variable_list& gradients) {
  if (dx != nullptr && dy.defined()) dx->add(dy, term.weight.dense());
  at::Tensor u;  // dy B [N, r]
  if (dy.defined() && !term.adapters.empty()) {
    const at::Tensor b = joined_b(term, dy.scalar_type());
    u = at::empty({dy.numel() / dy.size(-1), b.size(1)}, dy.options());
    multiply(matrix(dy), matrix(b), matrix(u));
    if (dx != nullptr) dx->add(u, joined_a(term, dy.scalar_type()));
  }
  std::int64_t first = 0;  // this adapter's columns of u and inner
  for (const LowRank& adapter : term.adapters) {
    const std::int64_t rank = adapter.a.size(0);
    if (adapter.trains && !dy.defined()) gradients.resize(gradients.size() + 2);
    if (adapter.trains && dy.defined()) {
      const at::Tensor da = at::empty_like(adapter.a), db = at::empty_like(adapter.b);
      multiply(matrix(u.narrow(1, first, rank)).transposed(), matrix(x), matrix(da));
      multiply(matrix(dy).transposed(), matrix(inner.narrow(1, first, rank)), matrix(db));
      gradients.insert(gradients.end(), {da, db.mul_(adapter.scale)});
    }
    first += rank;
  }
}

}  // namespace lora::kernels
