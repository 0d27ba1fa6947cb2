// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/elementwise.h"

#include <torch/csrc/autograd/custom_function.h>

#include "io/aten.h"
#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor wide(const at::Tensor& vector) { return vector.to(at::kFloat).contiguous(); }

// What a norm multiplies with and adds, float32 [D]; no bias: RMSNorm.
struct NormWeights {
  at::Tensor factor, bias;

  simd::NormRow row(const at::Tensor& x, double eps) const {
    return {element_of(x), static_cast<std::size_t>(x.size(-1)), factor.data_ptr<float>(),
            bias.defined() ? bias.data_ptr<float>() : nullptr, static_cast<float>(eps)};
  }
};

struct Normed {
  at::Tensor sum;  // undefined without `add`
  at::Tensor y;
  at::Tensor stats;  // [rows, 2] float32
};

Normed norm_forward(const at::Tensor& x, const at::Tensor& add, const NormWeights& weights,
                    double eps) {
  const std::int64_t width = x.size(-1), rows = x.numel() / width;
  Normed out{.y = at::empty_like(x), .stats = at::empty({rows, 2}, x.options().dtype(at::kFloat))};
  if (add.defined()) out.sum = at::empty_like(x);
  const simd::NormRow row = weights.row(x, eps);
  float* stats = out.stats.data_ptr<float>();
  for_rows(rows, width, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t place = i * width;
      const simd::NormStats found = simd::norm_row(
          row, at_element(x, place), add.defined() ? at_element(add, place) : nullptr,
          add.defined() ? at_element(out.sum, place) : nullptr, at_element(out.y, place));
      stats[2 * i] = found.mean;
      stats[2 * i + 1] = found.rstd;
    }
  });
  return out;
}

// `more`: gradient of the sum itself; may be undefined.
at::Tensor norm_backward(const at::Tensor& dy, const at::Tensor& x, const NormWeights& weights,
                         const at::Tensor& stats, const at::Tensor& more) {
  const std::int64_t width = x.size(-1), rows = x.numel() / width;
  at::Tensor dx = at::empty_like(x);
  const simd::NormRow row = weights.row(x, 0);
  const float* stat = stats.data_ptr<float>();
  for_rows(rows, width, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t place = i * width;
      simd::norm_grad_row(
          row, at_element(dy, place), at_element(x, place), {stat[2 * i], stat[2 * i + 1]},
          more.defined() ? at_element(more, place) : nullptr, at_element(dx, place));
    }
  });
  return dx;
}

// RMSNorm (bias undefined) or LayerNorm.
class RowNorm : public torch::autograd::Function<RowNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const NormWeights& weights, double eps) {
    const Normed out = norm_forward(x, {}, weights, eps);
    context->save_for_backward({x, weights.factor, weights.bias, out.stats});
    return out.y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor dx =
        norm_backward(outputs[0].contiguous(), saved[0], {saved[1], saved[2]}, saved[3], {});
    return {dx, {}, {}};
  }
};

class AddRowNorm : public torch::autograd::Function<AddRowNorm> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x,
                               const at::Tensor& delta, const NormWeights& weights, double eps) {
    const Normed out = norm_forward(x, delta, weights, eps);
    context->save_for_backward({out.sum, weights.factor, weights.bias, out.stats});
    return {out.sum, out.y};
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    if (!outputs[1].defined()) return {outputs[0], outputs[0], {}, {}};
    const at::Tensor more = outputs[0].defined() ? outputs[0].contiguous() : at::Tensor();
    const at::Tensor dx =
        norm_backward(outputs[1].contiguous(), saved[0], {saved[1], saved[2]}, saved[3], more);
    return {dx, dx, {}, {}};
  }
};

// sign 1: forward; -1: the gradient.
at::Tensor turn(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, float sign) {
  const std::int64_t length = x.size(1), heads = x.size(2), width = x.size(3);
  at::Tensor y = at::empty_like(x);
  const float *c = cos.data_ptr<float>(), *s = sin.data_ptr<float>();
  const std::int64_t row_step = cos.size(0) == 1 ? 0 : length * width;
  for_rows(x.size(0) * length, heads * width, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t angle = i / length * row_step + i % length * width;
      for (std::int64_t h = 0; h < heads; ++h) {
        const std::int64_t place = (i * heads + h) * width;
        simd::rotate_row(element_of(x), static_cast<std::size_t>(width), at_element(x, place),
                         c + angle, s + angle, sign, at_element(y, place));
      }
    }
  });
  return y;
}

class Rotate : public torch::autograd::Function<Rotate> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return turn(x, cos, sin, 1);
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    return {turn(outputs[0].contiguous(), saved[0], saved[1], -1), {}, {}};
  }
};

class Gated : public torch::autograd::Function<Gated> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up,
                            std::int64_t kind) {
    context->save_for_backward({gate, up});
    context->saved_data["kind"] = kind;
    at::Tensor h = at::empty_like(gate);
    for_elements(gate.numel(), [&](std::int64_t begin, std::size_t count) {
      simd::gate_range(element_of(gate), static_cast<simd::Gate>(kind), count,
                       at_element(gate, begin), at_element(up, begin), at_element(h, begin));
    });
    return h;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const auto kind = static_cast<simd::Gate>(context->saved_data["kind"].toInt());
    const at::Tensor dh = outputs[0].contiguous();
    at::Tensor dg = at::empty_like(dh), du = at::empty_like(dh);
    for_elements(dh.numel(), [&](std::int64_t begin, std::size_t count) {
      simd::gate_grad_range(element_of(dh), kind, count, at_element(dh, begin),
                            at_element(saved[0], begin), at_element(saved[1], begin),
                            at_element(dg, begin), at_element(du, begin), nullptr);
    });
    return {dg, du, {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset) {
  return RowNorm::apply(x.contiguous(), NormWeights{wide(weight) + offset, {}}, eps);
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps,
                                               double offset) {
  const variable_list out = AddRowNorm::apply(x.contiguous(), delta.contiguous(),
                                              NormWeights{wide(weight) + offset, {}}, eps);
  return {out[0], out[1]};
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps) {
  return RowNorm::apply(x.contiguous(), NormWeights{wide(weight), wide(bias)}, eps);
}

std::pair<at::Tensor, at::Tensor> add_layer_norm(const at::Tensor& x, const at::Tensor& delta,
                                                 const at::Tensor& weight, const at::Tensor& bias,
                                                 double eps) {
  const variable_list out = AddRowNorm::apply(x.contiguous(), delta.contiguous(),
                                              NormWeights{wide(weight), wide(bias)}, eps);
  return {out[0], out[1]};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  return Rotate::apply(x.contiguous(), cos.contiguous(), sin.contiguous());
}

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  return Gated::apply(gate.contiguous(), up.contiguous(),
                      static_cast<std::int64_t>(gate_of(activation)));
}

simd::Gate gate_of(Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return simd::Gate::gelu;
    case Activation::gelu_tanh:
      return simd::Gate::gelu_tanh;
    case Activation::relu:
      return simd::Gate::relu;
    case Activation::silu:
      break;
  }
  return simd::Gate::silu;
}

}  // namespace lora::kernels
