// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/elementwise.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "nn/kernels/rows.h"

namespace lora::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor norm_factor(const at::Tensor& weight, double offset) {
  const at::Tensor wide = weight.to(at::kFloat).contiguous();
  return offset == 0 ? wide : wide + offset;
}

simd::NormRow norm_row(const at::Tensor& x, const at::Tensor& factor, double eps) {
  return {element_of(x), static_cast<std::size_t>(x.size(-1)), factor.data_ptr<float>(),
          static_cast<float>(eps)};
}

struct Normed {
  at::Tensor sum;  // undefined without `add`
  at::Tensor y;
  at::Tensor rstd;  // [rows] float32
};

Normed norm_forward(const at::Tensor& x, const at::Tensor& add, const at::Tensor& factor,
                    double eps) {
  const std::int64_t width = x.size(-1), rows = x.numel() / width;
  Normed out{.y = at::empty_like(x), .rstd = at::empty({rows}, x.options().dtype(at::kFloat))};
  if (add.defined()) out.sum = at::empty_like(x);
  const simd::NormRow row = norm_row(x, factor, eps);
  float* rstd = out.rstd.data_ptr<float>();
  for_rows(rows, width, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t place = i * width;
      rstd[i] = simd::rms_norm_row(
          row, at_element(x, place), add.defined() ? at_element(add, place) : nullptr,
          add.defined() ? at_element(out.sum, place) : nullptr, at_element(out.y, place));
    }
  });
  return out;
}

// `more`: gradient of the sum itself; may be undefined.
at::Tensor norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& factor,
                         const at::Tensor& rstd, const at::Tensor& more) {
  const std::int64_t width = x.size(-1), rows = x.numel() / width;
  at::Tensor dx = at::empty_like(x);
  const simd::NormRow row = norm_row(x, factor, 0);
  const float* scale = rstd.data_ptr<float>();
  for_rows(rows, width, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t place = i * width;
      simd::rms_norm_grad_row(row, at_element(dy, place), at_element(x, place), scale[i],
                              more.defined() ? at_element(more, place) : nullptr,
                              at_element(dx, place));
    }
  });
  return dx;
}

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& factor,
                            double eps) {
    const Normed out = norm_forward(x, {}, factor, eps);
    context->save_for_backward({x, factor, out.rstd});
    return out.y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    return {norm_backward(outputs[0].contiguous(), saved[0], saved[1], saved[2], {}), {}, {}};
  }
};

class AddRmsNorm : public torch::autograd::Function<AddRmsNorm> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x,
                               const at::Tensor& delta, const at::Tensor& factor, double eps) {
    const Normed out = norm_forward(x, delta, factor, eps);
    context->save_for_backward({out.sum, factor, out.rstd});
    return {out.sum, out.y};
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    if (!outputs[1].defined()) return {outputs[0], outputs[0], {}, {}};
    const at::Tensor more = outputs[0].defined() ? outputs[0].contiguous() : at::Tensor();
    const at::Tensor dx =
        norm_backward(outputs[1].contiguous(), saved[0], saved[1], saved[2], more);
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
  return RmsNorm::apply(x.contiguous(), norm_factor(weight, offset), eps);
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps,
                                               double offset) {
  const variable_list out =
      AddRmsNorm::apply(x.contiguous(), delta.contiguous(), norm_factor(weight, offset), eps);
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
