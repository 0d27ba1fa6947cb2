// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/conv.h"

#include <omp.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "io/aten.h"
#include "nn/kernels/lora_linear.h"
#include "nn/kernels/onednn.h"
#include "nn/kernels/winograd.h"

namespace lora::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Desc = dnnl::memory::desc;
using Memory = dnnl::memory;

// Float32 weights above this are put into oneDNN's layout at each use (a few percent of the time):
// kept in both directions they would need twice the memory of the model.
constexpr std::int64_t kKeptBytes = std::int64_t{1} << 20;

// A convolution without gradients.
struct Problem {
  std::vector<std::int64_t> weight;  // sizes [out, in, kh, kw]
  at::ScalarType type;
  at::Tensor bias;  // [out] or undefined
  std::int64_t stride, padding;
};

struct Plan {
  dnnl::primitive primitive;
  Desc in, weight, bias, out;
  std::size_t scratch = 0;
};

Desc picture(at::IntArrayRef sizes, at::ScalarType type) {
  return {sizes.vec(), onednn_type(type), Memory::format_tag::nhwc};
}

Desc any_layout(const Problem& p) {
  return {p.weight, onednn_type(p.type), Memory::format_tag::any};
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::convolution_forward::primitive_desc forward_desc(const Problem& p, const Desc& in,
                                                       const Desc& bias, const Desc& out) {
  const Memory::dims strides = {p.stride, p.stride}, padding = {p.padding, p.padding};
  constexpr auto kKind = dnnl::prop_kind::forward_training;
  constexpr auto kWay = dnnl::algorithm::convolution_direct;
  const Desc weight = any_layout(p);
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), kKind,   kWay,    in,          weight, bias, out,
          strides,         padding, padding, attributes()};
#else
  return {{kKind, kWay, in, weight, bias, out, strides, padding, padding},
          attributes(),
          onednn_engine()};
#endif
}

Plan forward_plan(const Problem& p, at::IntArrayRef in, at::IntArrayRef out) {
  Desc bias;
  if (p.bias.defined()) bias = {p.bias.sizes().vec(), onednn_type(p.type), Memory::format_tag::a};
  const auto made = forward_desc(p, picture(in, p.type), bias, picture(out, p.type));
  return {dnnl::convolution_forward(made),
          made.src_desc(),
          made.weights_desc(),
          made.bias_desc(),
          made.dst_desc(),
          made.scratchpad_desc().get_size()};
}

// Gradient of the input of a convolution with a stride: `in` is the gradient of the output.
Plan backward_plan(const Problem& p, at::IntArrayRef in, at::IntArrayRef out) {
  const Desc from = picture(in, p.type), to = picture(out, p.type), weight = any_layout(p);
  const auto hint = forward_desc(p, to, {}, from);
  const Memory::dims strides = {p.stride, p.stride}, padding = {p.padding, p.padding};
  constexpr auto kWay = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::convolution_backward_data::primitive_desc made(
      onednn_engine(), kWay, to, weight, from, strides, padding, padding, hint, attributes());
#else
  const dnnl::convolution_backward_data::primitive_desc made(
      {kWay, to, weight, from, strides, padding, padding}, attributes(), onednn_engine(), hint);
#endif
  return {dnnl::convolution_backward_data(made),
          made.diff_dst_desc(),
          made.weights_desc(),
          {},
          made.diff_src_desc(),
          made.scratchpad_desc().get_size()};
}

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
      : pass_(pass),
        weight_(weight),
        problem_{weight.sizes().vec(), weight.scalar_type(), bias, stride, padding} {
    if (pass != Pass::turned) return;
    std::swap(problem_.weight[0], problem_.weight[1]);
    problem_.padding = weight.size(2) - 1 - padding;
  }

  // False where oneDNN has no such convolution on this processor.
  bool run(const at::Tensor& in, const at::Tensor& out) {
    const Plan* plan = plan_of(in, out);
    if (plan == nullptr) return false;
    const at::Tensor weight = packed(plan->weight);
    dnnl::engine& engine = onednn_engine();
    const bool strided = pass_ == Pass::strided;
    const auto in_kind = strided ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC;
    const auto out_kind = strided ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST;
    std::unordered_map<int, Memory> arguments = {
        {in_kind, Memory(plan->in, engine, in.data_ptr())},
        {DNNL_ARG_WEIGHTS, Memory(plan->weight, engine, weight.data_ptr())},
        {out_kind, Memory(plan->out, engine, out.data_ptr())}};
    if (problem_.bias.defined()) {
      arguments.emplace(DNNL_ARG_BIAS, Memory(plan->bias, engine, problem_.bias.data_ptr()));
    }
    onednn_run(plan->primitive, arguments, plan->scratch);
    return true;
  }

 private:
  const Plan* plan_of(const at::Tensor& in, const at::Tensor& out) {
    const std::array<std::int64_t, 4> key = {in.size(0), in.size(2), in.size(3),
                                             omp_get_max_threads()};
    const auto [at, fresh] = plans_.try_emplace(key);
    if (fresh) {
      try {
        at->second = pass_ == Pass::strided ? backward_plan(problem_, in.sizes(), out.sizes())
                                            : forward_plan(problem_, in.sizes(), out.sizes());
      } catch (const dnnl::error&) {
        at->second.reset();
      }
    }
    return at->second ? &*at->second : nullptr;
  }

  at::Tensor packed(const Desc& desc) {
    for (const auto& [known, weight] : packed_) {
      if (known == desc) return weight;
    }
    const at::Tensor weight = pass_ == Pass::turned ? turned(weight_) : weight_;
    at::Tensor room = at::empty({static_cast<std::int64_t>(desc.get_size())}, at::kByte);
    dnnl::engine& engine = onednn_engine();
    Memory from({problem_.weight, onednn_type(problem_.type), weight.strides().vec()}, engine,
                weight.data_ptr());
    Memory to(desc, engine, room.data_ptr());
    dnnl::stream stream(engine);
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
    if (problem_.type != at::kFloat || room.numel() <= kKeptBytes) {
      packed_.emplace_back(desc, room);
    }
    return room;
  }

  Pass pass_;
  at::Tensor weight_;
  Problem problem_;
  std::map<std::array<std::int64_t, 4>, std::optional<Plan>> plans_;
  std::vector<std::pair<Desc, at::Tensor>> packed_;
};

}  // namespace

class PreparedConv {
 public:
  explicit PreparedConv(const LayerTerm& term)
      : weight_(term.weight.dense()),
        bias_(term.bias),
        stride_(term.stride),
        padding_(term.padding),
        winograd_(weight_, bias_),
        forward_(Pass::forward, weight_, bias_, stride_, padding_) {}

  bool fits(const LayerTerm& term) const {
    return bias_.is_same(term.bias) && stride_ == term.stride && padding_ == term.padding;
  }

  at::Tensor forward(const at::Tensor& x) {
    const auto length = [&](std::int64_t n, std::int64_t kernel) {
      return (n + 2 * padding_ - kernel) / stride_ + 1;
    };
    at::Tensor y = at::empty({x.size(0), weight_.size(0), length(x.size(2), weight_.size(2)),
                              length(x.size(3), weight_.size(3))},
                             x.options(), at::MemoryFormat::ChannelsLast);
    if (winograd_suits(x)) {
      winograd_.forward(x, y);
      return y;
    }
    if (forward_.run(x, y)) return y;
    return at::conv2d(x, weight_, bias_, stride_, padding_);
  }

  at::Tensor backward(const at::Tensor& dy, at::IntArrayRef sizes) {
    at::Tensor dx = at::empty(sizes, dy.options(), at::MemoryFormat::ChannelsLast);
    if (winograd_suits(dy)) {
      winograd_.backward(dy, dx);
      return dx;
    }
    if (!backward_) make_backward();
    if (backward_->run(dy, dx)) return dx;
    const at::Tensor shape = at::empty({1}, dy.options()).expand(sizes);
    return std::get<0>(at::convolution_backward(dy, shape, weight_, c10::nullopt,
                                                {stride_, stride_}, {padding_, padding_}, {1, 1},
                                                false, {0, 0}, 1, {true, false, false}));
  }

 private:
  bool winograd_suits(const at::Tensor& picture) const {
    return stride_ == 1 && padding_ == 1 && Winograd::suits(weight_, picture);
  }

  // With stride 1 and a square kernel oneDNN's forward convolution is the faster one.
  void make_backward() {
    const bool square = weight_.size(2) == weight_.size(3) && padding_ < weight_.size(2);
    const Pass pass = stride_ == 1 && square ? Pass::turned : Pass::strided;
    backward_.emplace(pass, weight_, at::Tensor(), stride_, padding_);
  }

  at::Tensor weight_, bias_;
  std::int64_t stride_, padding_;
  Winograd winograd_;
  Direction forward_;
  std::optional<Direction> backward_;
};

namespace {

// Carries the weight's prepared convolution to the backward pass.
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

}  // namespace

at::Tensor conv(const at::Tensor& x, const LayerTerm& term) {
  std::shared_ptr<PreparedConv>& kept = term.weight.prepared();
  if (!kept || !kept->fits(term)) kept = std::make_shared<PreparedConv>(term);
  const auto prepared = c10::make_intrusive<Prepared>();
  prepared->conv = kept;
  return FrozenConv::apply(x.contiguous(at::MemoryFormat::ChannelsLast), prepared);
}

at::Tensor pointwise(const at::Tensor& x, const LayerTerm& term) {
  LayerTerm linear{.weight = term.weight.flat(), .bias = term.bias, .adapters = term.adapters};
  for (LowRank& adapter : linear.adapters) {
    adapter.a = adapter.a.flatten(1);
    adapter.b = adapter.b.flatten(1);
  }
  const at::Tensor tokens = x.contiguous(at::MemoryFormat::ChannelsLast).permute({0, 2, 3, 1});
  return lora_linears(tokens, {&linear, 1})[0].permute({0, 3, 1, 2});
}

}  // namespace lora::kernels
