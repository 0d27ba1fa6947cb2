// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/lora_linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "io/aten.h"
#include "nn/kernels/choice.h"
#include "nn/kernels/elementwise.h"
#include "nn/kernels/lora_term.h"
#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Terms = std::vector<LoraTerm>;

// A and B of every term that has an adapter: the node's trainable inputs.
variable_list trainable(const Terms& terms) {
  variable_list list;
  for (const LoraTerm& term : terms) {
    if (term.a.defined()) list.insert(list.end(), {term.a, term.b});
  }
  return list;
}

std::size_t contributions(std::span<const LoraTerm> terms) {
  std::size_t count = 0;
  for (const LoraTerm& term : terms) count += kernels::contributions(term);
  return count;
}

void put(variable_list& gradients, const LoraTerm& term, const TermGradient& gradient) {
  if (term.a.defined()) gradients.insert(gradients.end(), {gradient.a, gradient.b});
}

class LoraLinears : public torch::autograd::Function<LoraLinears> {
 public:
  // x [..., in]; `adapters` only tells autograd what the node depends on.
  static variable_list forward(AutogradContext* context, const at::Tensor& x, at::TensorList,
                               Terms terms, bool input_gradient) {
    variable_list outputs, saved = {x};
    for (LoraTerm& term : terms) outputs.push_back(term_forward(term, x));
    save_terms(terms, saved, *context);
    context->save_for_backward(saved);
    context->saved_data["input_gradient"] = input_gradient;
    return outputs;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const Terms terms = load_terms(saved, 1, *context);
    const bool input_gradient = context->saved_data["input_gradient"].toBool();
    std::optional<InputGradient> dx;
    if (input_gradient) dx.emplace(saved[0], contributions(terms));
    variable_list gradients = {at::Tensor()};
    for (std::size_t i = 0; i < terms.size(); ++i) {
      TermGradient gradient;
      if (outputs[i].defined()) {
        gradient = term_backward(terms[i], outputs[i].contiguous(), saved[0],
                                 dx.has_value() ? &*dx : nullptr);
      }
      put(gradients, terms[i], gradient);
    }
    if (dx.has_value()) gradients[0] = dx->take();
    gradients.resize(gradients.size() + 2);
    return gradients;
  }
};

class LoraMlp : public torch::autograd::Function<LoraMlp> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList,
                            Terms terms, simd::Gate kind, bool input_gradient) {
    const at::Tensor gate = term_forward(terms[0], x), up = term_forward(terms[1], x);
    const at::Tensor h = at::empty_like(gate);
    for_elements(h.numel(), [&](std::int64_t begin, std::size_t count) {
      simd::gate_range(element_of(h), kind, count, at_element(gate, begin), at_element(up, begin),
                       at_element(h, begin));
    });
    const at::Tensor y = term_forward(terms[2], h);
    variable_list saved = {x, gate, up};
    save_terms(terms, saved, *context);
    context->save_for_backward(saved);
    context->saved_data["kind"] = static_cast<std::int64_t>(kind);
    context->saved_data["input_gradient"] = input_gradient;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const Terms terms = load_terms(saved, 3, *context);
    const at::Tensor &x = saved[0], &gate = saved[1], &up = saved[2];
    const at::Tensor dy = outputs[0].contiguous();
    InputGradient dh_sum(gate, kernels::contributions(terms[2]));
    const bool down_adapter = terms[2].a.defined();
    // Only dA of `down` reads the activation: recomputed, not saved.
    const at::Tensor h = down_adapter ? at::empty_like(gate) : at::Tensor();
    if (down_adapter) activation_again(context, gate, up, h);
    const TermGradient down = term_backward(terms[2], dy, h, &dh_sum);
    const at::Tensor dg = at::empty_like(gate), du = at::empty_like(up);
    gate_backward(context, dh_sum.take(), gate, up, dg, du);
    return input_side(context, terms, x, dg, du, down);
  }

 private:
  static simd::Gate kind(AutogradContext* context) {
    return static_cast<simd::Gate>(context->saved_data["kind"].toInt());
  }

  static void activation_again(AutogradContext* context, const at::Tensor& gate,
                               const at::Tensor& up, const at::Tensor& h) {
    const simd::Gate function = kind(context);
    for_elements(h.numel(), [&](std::int64_t begin, std::size_t count) {
      simd::gate_range(element_of(h), function, count, at_element(gate, begin),
                       at_element(up, begin), at_element(h, begin));
    });
  }

  static void gate_backward(AutogradContext* context, const at::Tensor& dh, const at::Tensor& gate,
                            const at::Tensor& up, const at::Tensor& dg, const at::Tensor& du) {
    const simd::Gate function = kind(context);
    for_elements(dh.numel(), [&](std::int64_t begin, std::size_t count) {
      simd::gate_grad_range(element_of(dh), function, count, at_element(dh, begin),
                            at_element(gate, begin), at_element(up, begin), at_element(dg, begin),
                            at_element(du, begin), nullptr);
    });
  }

  static variable_list input_side(AutogradContext* context, const Terms& terms, const at::Tensor& x,
                                  const at::Tensor& dg, const at::Tensor& du,
                                  const TermGradient& down) {
    std::optional<InputGradient> dx;
    if (context->saved_data["input_gradient"].toBool()) {
      dx.emplace(x, contributions(std::span(terms).first(2)));
    }
    InputGradient* sum = dx.has_value() ? &*dx : nullptr;
    variable_list gradients = {at::Tensor()};
    put(gradients, terms[0], term_backward(terms[0], dg, x, sum));
    put(gradients, terms[1], term_backward(terms[1], du, x, sum));
    put(gradients, terms[2], down);
    if (sum != nullptr) gradients[0] = sum->take();
    gradients.resize(gradients.size() + 3);
    return gradients;
  }
};

}  // namespace

bool usable_linear(const Layer& layer, const at::Tensor& x) {
  if (!usable(x) || layer.is_conv || layer.weight.scalar_type() != x.scalar_type()) return false;
  if (layer.weight.requires_grad() || !layer.weight.is_cpu()) return false;
  if (layer.bias.defined() && layer.bias.scalar_type() != x.scalar_type()) return false;
  if (layer.adapter == nullptr) return true;
  const Adapter& adapter = *layer.adapter;
  return !adapter.magnitude.defined() && !(training_mode() && adapter.dropout > 0) &&
         adapter.a.scalar_type() == at::kFloat && adapter.b.scalar_type() == at::kFloat;
}

std::vector<at::Tensor> lora_linears(std::span<const Layer* const> layers, const at::Tensor& x) {
  Terms terms;
  for (const Layer* layer : layers) terms.push_back(term_of(*layer));
  const variable_list adapters = trainable(terms);
  const at::TensorList list(adapters);
  return LoraLinears::apply(x.contiguous(), list, terms, x.requires_grad());
}

at::Tensor lora_mlp(const Layer& gate, const Layer& up, const Layer& down, const at::Tensor& x,
                    Activation activation) {
  const Terms terms = {term_of(gate), term_of(up), term_of(down)};
  const variable_list adapters = trainable(terms);
  const at::TensorList list(adapters);
  return LoraMlp::apply(x.contiguous(), list, terms, gate_of(activation), x.requires_grad());
}

}  // namespace lora::kernels
