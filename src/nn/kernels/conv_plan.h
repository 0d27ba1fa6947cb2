// SPDX-License-Identifier: Apache-2.0
// Convolutions of oneDNN without gradients, on pictures in channels_last memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <dnnl.hpp>
#include <functional>
#include <utility>
#include <vector>

namespace lora::kernels {

struct ConvShape {
  std::vector<std::int64_t> weight;  // sizes [out, in, kh, kw], or [groups, out, in, kh, kw]
  at::ScalarType type = at::kFloat;
  at::ScalarType out_type = at::kFloat;
  at::Tensor bias;  // [out] or undefined
  std::int64_t stride = 1, padding = 0;
};

// A primitive and the layouts it wants; `weight` is oneDNN's choice.
struct ConvPlan {
  dnnl::primitive primitive;
  dnnl::memory::desc in, weight, bias, out;
  std::size_t scratch = 0;
};

// Sizes [B, C, H, W]. Throw dnnl::error where oneDNN has no such convolution on this processor.
ConvPlan forward_plan(const ConvShape& shape, at::IntArrayRef in, at::IntArrayRef out);
// Gradient of the input: `in` is the gradient of the output.
ConvPlan backward_plan(const ConvShape& shape, at::IntArrayRef in, at::IntArrayRef out);

// Memory of `in` and `out` as planned; `strided`: a plan of backward_plan.
void run_conv(const ConvPlan& plan, const ConvShape& shape, const at::Tensor& in,
              const at::Tensor& weight, const at::Tensor& out, bool strided = false);

// One weight in the layouts that plans asked for so far.
class PackedWeights {
 public:
  // `plain`: the weight with the sizes of `shape`, any strides; asked for at a new layout. Float32
  // weights above 1 MiB are put into their layout at each use (a few percent of the time): kept in
  // both directions they would need twice the memory of the model.
  at::Tensor in(const dnnl::memory::desc& layout, const ConvShape& shape,
                const std::function<at::Tensor()>& plain);

 private:
  std::vector<std::pair<dnnl::memory::desc, at::Tensor>> kept_;
};

}  // namespace lora::kernels
