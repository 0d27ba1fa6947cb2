// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/lora_linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "io/aten.h"
#include "nn/kernels/elementwise.h"
#include "nn/kernels/lora_term.h"
#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The layers of a node. They hold no intermediate result, so autograd need not watch them.
struct Terms : torch::CustomClassHolder {
  explicit Terms(std::span<const LayerTerm> layers) : list(layers.begin(), layers.end()) {}
  std::vector<LayerTerm> list;
};
using Shared = c10::intrusive_ptr<Terms>;

const std::vector<LayerTerm>& terms_of(AutogradContext* context) {
  const auto capsule = context->saved_data["terms"].toCapsule();
  return static_cast<const Terms&>(*capsule).list;
}

// A and B of every adapter that trains: the node's trainable inputs, which tell autograd what it
// depends on.
variable_list trainable(std::span<const LayerTerm> terms) {
  variable_list list;
  for (const LayerTerm& term : terms) {
    for (const LowRank& adapter : term.adapters) {
      if (adapter.trains) list.insert(list.end(), {adapter.a, adapter.b});
    }
  }
  return list;
}

std::size_t contributions(std::span<const LayerTerm> terms) {
  std::size_t count = 0;
  for (const LayerTerm& term : terms) count += kernels::contributions(term);
  return count;
}

// Runs a term; what its backward pass needs goes to `saved`.
at::Tensor forward_saving(const LayerTerm& term, const at::Tensor& x, variable_list& saved) {
  at::Tensor inner;
  const at::Tensor y = term_forward(term, x, inner);
  saved.push_back(trains(term) ? inner : at::Tensor());
  return y;
}

class LoraLinears : public torch::autograd::Function<LoraLinears> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x, at::TensorList,
                               const Shared& terms, bool input_gradient) {
    variable_list outputs, saved = {x};
    for (const LayerTerm& term : terms->list) outputs.push_back(forward_saving(term, x, saved));
    context->save_for_backward(saved);
    context->saved_data["terms"] = c10::IValue::make_capsule(terms);
    context->saved_data["input_gradient"] = input_gradient;
    return outputs;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const std::vector<LayerTerm>& terms = terms_of(context);
    std::optional<InputGradient> dx;
    if (context->saved_data["input_gradient"].toBool()) dx.emplace(saved[0], contributions(terms));
    variable_list gradients = {at::Tensor()};
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const at::Tensor dy = outputs[i].defined() ? outputs[i].contiguous() : at::Tensor();
      term_backward(terms[i], saved[1 + i], dy, saved[0], dx ? &*dx : nullptr, gradients);
    }
    if (dx) gradients[0] = dx->take();
    gradients.resize(gradients.size() + 2);
    return gradients;
  }
};

class LoraMlp : public torch::autograd::Function<LoraMlp> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList,
                            const Shared& terms, simd::Gate kind, bool input_gradient) {
    variable_list inner;
    const at::Tensor gate = forward_saving(terms->list[0], x, inner);
    const at::Tensor up = forward_saving(terms->list[1], x, inner);
    const at::Tensor h = at::empty_like(gate);
    for_elements(h.numel(), [&](std::int64_t begin, std::size_t count) {
      simd::gate_range(element_of(h), kind, count, at_element(gate, begin), at_element(up, begin),
                       at_element(h, begin));
    });
    const at::Tensor y = forward_saving(terms->list[2], h, inner);
    context->save_for_backward({x, gate, up, inner[0], inner[1], inner[2]});
    context->saved_data["terms"] = c10::IValue::make_capsule(terms);
    context->saved_data["kind"] = static_cast<std::int64_t>(kind);
    context->saved_data["input_gradient"] = input_gradient;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const std::vector<LayerTerm>& terms = terms_of(context);
    const at::Tensor &x = saved[0], &gate = saved[1], &up = saved[2];
    const at::Tensor dy = outputs[0].contiguous();
    // Only dA of `down` reads the activation: recomputed, not saved.
    at::Tensor h;
    if (trains(terms[2])) {
      h = at::empty_like(gate);
      activation_again(context, gate, up, h);
    }
    InputGradient dh_sum(gate, kernels::contributions(terms[2]));
    variable_list of_down;
    term_backward(terms[2], saved[5], dy, h, &dh_sum, of_down);
    const at::Tensor dg = at::empty_like(gate), du = at::empty_like(up);
    gate_backward(context, dh_sum.take(), gate, up, dg, du);
    std::optional<InputGradient> dx;
    if (context->saved_data["input_gradient"].toBool()) {
      dx.emplace(x, contributions(std::span(terms).first(2)));
    }
    InputGradient* sum = dx ? &*dx : nullptr;
    variable_list gradients = {at::Tensor()};
    term_backward(terms[0], saved[3], dg, x, sum, gradients);
    term_backward(terms[1], saved[4], du, x, sum, gradients);
    if (dx) gradients[0] = dx->take();
    gradients.insert(gradients.end(), of_down.begin(), of_down.end());
    gradients.resize(gradients.size() + 3);
    return gradients;
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
};

}  // namespace

std::vector<at::Tensor> lora_linears(const at::Tensor& x, std::span<const LayerTerm> terms) {
  const variable_list adapters = trainable(terms);
  return LoraLinears::apply(x.contiguous(), at::TensorList(adapters),
                            c10::make_intrusive<Terms>(terms), x.requires_grad());
}

at::Tensor lora_mlp(const at::Tensor& x, const LayerTerm& gate, const LayerTerm& up,
                    const LayerTerm& down, Activation activation) {
  const std::array terms = {gate, up, down};
  const variable_list adapters = trainable(terms);
  return LoraMlp::apply(x.contiguous(), at::TensorList(adapters), c10::make_intrusive<Terms>(terms),
                        gate_of(activation), x.requires_grad());
}

}  // namespace lora::kernels
