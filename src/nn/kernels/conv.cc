// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/conv.h"

#include <ATen/ATen.h>
#include <omp.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "nn/kernels/choice.h"
#include "nn/kernels/conv_plan.h"
#include "nn/kernels/lora_linear.h"
#include "nn/kernels/winograd.h"

namespace lora::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// How a pass is computed.
enum class Pass {
  forward,
  turned,  // the input's gradient as a convolution of the output's, the weight's ends exchanged
  strided  // the input's gradient where there is a stride
};

at::Tensor turned(const at::Tensor& weight) { return weight.flip({2, 3}).transpose(0, 1); }

// One pass: plans for the sizes met so far and the packed weight.
class Direction {
 public:
  Direction(Pass pass, const at::Tensor& weight, const at::Tensor& bias, std::int64_t stride,
            std::int64_t padding)
      : pass_(pass), weight_(weight), shape_{weight.sizes().vec(),
                                             weight.scalar_type(),
                                             weight.scalar_type(),
                                             bias,
                                             stride,
                                             padding} {
    if (pass != Pass::turned) return;
    std::swap(shape_.weight[0], shape_.weight[1]);
    shape_.padding = weight.size(2) - 1 - padding;
  }

  // False where oneDNN has no such convolution on this processor.
  bool run(const at::Tensor& in, const at::Tensor& out) {
    if (run_winograd(in, out)) return true;
    const ConvPlan* plan = plan_of(in, out);
    if (plan == nullptr) return false;
    const at::Tensor weight = packed_.in(plan->weight, shape_, [&] { return plain(); });
    run_conv(*plan, shape_, in, weight, out, pass_ == Pass::strided);
    return true;
  }

 private:
  at::Tensor plain() const { return pass_ == Pass::turned ? turned(weight_) : weight_; }

  bool run_winograd(const at::Tensor& in, const at::Tensor& out) {
    if (pass_ == Pass::strided || !Winograd::suits(shape_, in)) return false;
    if (!winograd_) winograd_.emplace(shape_);
    return winograd_->run(in, out, [&] { return plain(); });
  }

  const ConvPlan* plan_of(const at::Tensor& in, const at::Tensor& out) {
    const std::array<std::int64_t, 4> key = {in.size(0), in.size(2), in.size(3),
                                             omp_get_max_threads()};
    const auto [at, fresh] = plans_.try_emplace(key);
    if (fresh) {
      try {
        at->second = pass_ == Pass::strided ? backward_plan(shape_, in.sizes(), out.sizes())
                                            : forward_plan(shape_, in.sizes(), out.sizes());
      } catch (const dnnl::error&) {
        at->second.reset();
      }
    }
    return at->second ? &*at->second : nullptr;
  }

  Pass pass_;
  at::Tensor weight_;  // the layer's
  ConvShape shape_;
  std::map<std::array<std::int64_t, 4>, std::optional<ConvPlan>> plans_;
  PackedWeights packed_;
  std::optional<Winograd> winograd_;
};

}  // namespace

class PreparedConv {
 public:
  explicit PreparedConv(const Layer& layer)
      : weight_(layer.weight.detach()),
        bias_(layer.bias),
        stride_(layer.stride),
        padding_(layer.padding),
        forward_(Pass::forward, weight_, bias_, stride_, padding_) {}

  bool fits(const Layer& layer) const {
    return weight_.data_ptr() == layer.weight.data_ptr() && bias_.is_same(layer.bias) &&
           stride_ == layer.stride && padding_ == layer.padding;
  }

  at::Tensor forward(const at::Tensor& x) {
    const auto length = [&](std::int64_t n, std::int64_t kernel) {
      return (n + 2 * padding_ - kernel) / stride_ + 1;
    };
    at::Tensor y = at::empty({x.size(0), weight_.size(0), length(x.size(2), weight_.size(2)),
                              length(x.size(3), weight_.size(3))},
                             x.options(), at::MemoryFormat::ChannelsLast);
    if (forward_.run(x, y)) return y;
    return at::conv2d(x, weight_, bias_, stride_, padding_);
  }

  at::Tensor backward(const at::Tensor& dy, at::IntArrayRef sizes) {
    if (!backward_) make_backward();
    at::Tensor dx = at::empty(sizes, dy.options(), at::MemoryFormat::ChannelsLast);
    if (backward_->run(dy, dx)) return dx;
    const at::Tensor shape = at::empty({1}, dy.options()).expand(sizes);
    return std::get<0>(at::convolution_backward(dy, shape, weight_, c10::nullopt,
                                                {stride_, stride_}, {padding_, padding_}, {1, 1},
                                                false, {0, 0}, 1, {true, false, false}));
  }

 private:
  // With stride 1 and a square kernel oneDNN's forward convolution is the faster one.
  void make_backward() {
    const bool square = weight_.size(2) == weight_.size(3) && padding_ < weight_.size(2);
    const Pass pass = stride_ == 1 && square ? Pass::turned : Pass::strided;
    backward_.emplace(pass, weight_, at::Tensor(), stride_, padding_);
  }

  at::Tensor weight_, bias_;
  std::int64_t stride_, padding_;
  Direction forward_;
  std::optional<Direction> backward_;
};

namespace {

// Carries the layer's prepared convolution to the backward pass.
struct Prepared : torch::CustomClassHolder {
  std::shared_ptr<PreparedConv> conv;
};

class FrozenConv : public torch::autograd::Function<FrozenConv> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const c10::intrusive_ptr<Prepared>& prepared) {
    context->saved_data["conv"] = c10::IValue::make_capsule(prepared);
    context->saved_data["sizes"] = x.sizes().vec();
    return prepared->conv->forward(x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const auto capsule = context->saved_data["conv"].toCapsule();
    const auto sizes = context->saved_data["sizes"].toIntVector();
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    return {static_cast<const Prepared&>(*capsule).conv->backward(dy, sizes), at::Tensor()};
  }
};

bool usable_weight(const Layer& layer, const at::Tensor& x) {
  return usable(x) && x.dim() == 4 && layer.is_conv && layer.weight.is_cpu() &&
         layer.weight.scalar_type() == x.scalar_type() && !layer.weight.requires_grad() &&
         x.size(1) == layer.weight.size(1) &&
         (!layer.bias.defined() || layer.bias.scalar_type() == x.scalar_type());
}

at::Tensor flat(const at::Tensor& x) { return x.defined() ? x.flatten(1) : x; }

}  // namespace

bool usable_conv(const Layer& layer, const at::Tensor& x) { return usable_weight(layer, x); }

at::Tensor conv(const Layer& layer, const at::Tensor& x) {
  if (!layer.prepared || !layer.prepared->fits(layer)) {
    layer.prepared = std::make_shared<PreparedConv>(layer);
  }
  const auto prepared = c10::make_intrusive<Prepared>();
  prepared->conv = layer.prepared;
  return FrozenConv::apply(x.contiguous(at::MemoryFormat::ChannelsLast), prepared);
}

bool usable_pointwise(const Layer& layer, const at::Tensor& x) {
  if (!usable_weight(layer, x) || layer.weight.size(2) != 1 || layer.weight.size(3) != 1 ||
      layer.stride != 1 || layer.padding != 0) {
    return false;
  }
  Layer plain = layer;
  plain.is_conv = false;
  return usable_linear(plain, x);
}

at::Tensor pointwise(const Layer& layer, const at::Tensor& x) {
  Layer linear = layer;
  linear.is_conv = false;
  linear.weight = flat(layer.weight);
  if (layer.adapter) {
    linear.adapter = std::make_shared<Adapter>(*layer.adapter);
    linear.adapter->a = flat(layer.adapter->a);
    linear.adapter->b = flat(layer.adapter->b);
  }
  const at::Tensor tokens = x.contiguous(at::MemoryFormat::ChannelsLast).permute({0, 2, 3, 1});
  const Layer* const self = &linear;
  return lora_linears({&self, 1}, tokens)[0].permute({0, 3, 1, 2});
}

}  // namespace lora::kernels
