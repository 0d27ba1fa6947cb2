// SPDX-License-Identifier: Apache-2.0
#include "nn/kernels/conv_plan.h"

#include <ATen/ATen.h>

#include <unordered_map>

#include "nn/kernels/onednn.h"

namespace lora::kernels {
namespace {

using Desc = dnnl::memory::desc;
using Memory = dnnl::memory;

constexpr std::int64_t kKeptBytes = std::int64_t{1} << 20;
constexpr auto kWay = dnnl::algorithm::convolution_direct;

Desc picture(at::IntArrayRef sizes, at::ScalarType type) {
  return {sizes.vec(), onednn_type(type), Memory::format_tag::nhwc};
}

Desc any_layout(const ConvShape& shape) {
  return {shape.weight, onednn_type(shape.type), Memory::format_tag::any};
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::convolution_forward::primitive_desc forward_desc(const ConvShape& shape, const Desc& in,
                                                       const Desc& bias, const Desc& out) {
  const Memory::dims strides = {shape.stride, shape.stride};
  const Memory::dims padding = {shape.padding, shape.padding};
  constexpr auto kKind = dnnl::prop_kind::forward_training;
  const Desc weight = any_layout(shape);
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), kKind,   kWay,    in,          weight, bias, out,
          strides,         padding, padding, attributes()};
#else
  return {{kKind, kWay, in, weight, bias, out, strides, padding, padding},
          attributes(),
          onednn_engine()};
#endif
}

}  // namespace

ConvPlan forward_plan(const ConvShape& shape, at::IntArrayRef in, at::IntArrayRef out) {
  Desc bias;
  if (shape.bias.defined()) {
    bias = {shape.bias.sizes().vec(), onednn_type(shape.type), Memory::format_tag::a};
  }
  const auto made =
      forward_desc(shape, picture(in, shape.type), bias, picture(out, shape.out_type));
  return {dnnl::convolution_forward(made),
          made.src_desc(),
          made.weights_desc(),
          made.bias_desc(),
          made.dst_desc(),
          made.scratchpad_desc().get_size()};
}

ConvPlan backward_plan(const ConvShape& shape, at::IntArrayRef in, at::IntArrayRef out) {
  const Desc from = picture(in, shape.type), to = picture(out, shape.out_type);
  const Desc weight = any_layout(shape);
  const auto hint = forward_desc(shape, to, {}, from);
  const Memory::dims strides = {shape.stride, shape.stride};
  const Memory::dims padding = {shape.padding, shape.padding};
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

void run_conv(const ConvPlan& plan, const ConvShape& shape, const at::Tensor& in,
              const at::Tensor& weight, const at::Tensor& out, bool strided) {
  dnnl::engine& engine = onednn_engine();
  const auto in_kind = strided ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC;
  const auto out_kind = strided ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST;
  std::unordered_map<int, Memory> arguments = {
      {in_kind, Memory(plan.in, engine, in.data_ptr())},
      {DNNL_ARG_WEIGHTS, Memory(plan.weight, engine, weight.data_ptr())},
      {out_kind, Memory(plan.out, engine, out.data_ptr())}};
  if (shape.bias.defined()) {
    arguments.emplace(DNNL_ARG_BIAS, Memory(plan.bias, engine, shape.bias.data_ptr()));
  }
  onednn_run(plan.primitive, arguments, plan.scratch);
}

at::Tensor PackedWeights::in(const Desc& layout, const ConvShape& shape,
                             const std::function<at::Tensor()>& plain) {
  for (const auto& [known, weight] : kept_) {
    if (known == layout) return weight;
  }
  const at::Tensor weight = plain();
  at::Tensor room = at::empty({static_cast<std::int64_t>(layout.get_size())}, at::kByte);
  dnnl::engine& engine = onednn_engine();
  Memory from({shape.weight, onednn_type(shape.type), weight.strides().vec()}, engine,
              weight.data_ptr());
  Memory to(layout, engine, room.data_ptr());
  dnnl::stream stream(engine);
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
  if (shape.type != at::kFloat || room.numel() <= kKeptBytes) kept_.emplace_back(layout, room);
  return room;
}

}  // namespace lora::kernels
