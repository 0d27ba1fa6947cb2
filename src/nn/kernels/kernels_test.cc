// SPDX-License-Identifier: Apache-2.0
// Every fused operator against its plain twin: values and gradients, float32 and bfloat16, odd
// sizes, one and two threads.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <tuple>

#include "io/aten.h"
#include "nn/kernels/product.h"
#include "nn/kernels/simd_tile.h"
#include "nn/ops.h"
#include "nn/projections.h"
#include "tests/twins.h"

namespace lora {
namespace {

using test::compare;
using test::relative;
using test::Tensors;

}  // namespace

TEST(Kernels, RmsNorm) {
  at::manual_seed(1);
  for (const std::int64_t width : {3, 7, 64, 133}) {
    const at::Tensor weight = at::randn({width});
    for (const double offset : {0.0, 1.0}) {
      compare([&](const Tensors& x) -> Tensors { return {rms_norm(x[0], weight, 1e-5, offset)}; },
              {at::randn({3, 5, width})});
      compare(
          [&](const Tensors& x) -> Tensors {
            const auto [sum, y] = add_rms_norm(x[0], x[1], weight, 1e-5, offset);
            return {sum, y};
          },
          {at::randn({3, 5, width}), at::randn({3, 5, width})});
    }
  }
}

TEST(Kernels, LayerNorm) {
  at::manual_seed(13);
  for (const std::int64_t width : {7, 64, 133}) {
    const at::Tensor weight = at::randn({width}), bias = at::randn({width});
    compare([&](const Tensors& x) -> Tensors { return {layer_norm(x[0], weight, bias, 1e-5)}; },
            {at::randn({3, 5, width}) + 4});
    compare(
        [&](const Tensors& x) -> Tensors {
          const auto [sum, y] = add_layer_norm(x[0], x[1], weight, bias, 1e-5);
          return {sum, y};
        },
        {at::randn({3, 5, width}), at::randn({3, 5, width})});
  }
}

TEST(Kernels, GroupNorm) {
  at::manual_seed(14);
  for (const std::int64_t channels : {6, 40, 96}) {
    for (const bool silu : {false, true}) {
      const GroupNormWeights norm{at::randn({channels}), at::randn({channels}), 2, 1e-5};
      const at::Tensor x = at::randn({2, channels, 9, 11}) + 1;
      compare([&](const Tensors& in) -> Tensors { return {group_norm(in[0], norm, silu)}; }, {x});
      compare([&](const Tensors& in) -> Tensors { return {group_norm(in[0], norm, silu, in[1])}; },
              {x, at::randn({2, channels})});
    }
  }
}

// Sizes, strides and paddings of Stable Diffusion, and odd ones; the weight is frozen.
TEST(Kernels, Convolution) {
  at::manual_seed(15);
  struct Case {
    std::int64_t in, out, kernel, stride, padding;
  };
  for (const Case& c : {Case{4, 24, 3, 1, 1},
                        {24, 24, 3, 1, 1},
                        {17, 5, 3, 2, 1},
                        {8, 12, 3, 2, 0},
                        {12, 9, 1, 1, 0},
                        {6, 7, 5, 1, 2},
                        {300, 260, 3, 1, 1}}) {
    const at::Tensor weight = at::randn({c.out, c.in, c.kernel, c.kernel}).to(at::kBFloat16);
    const at::Tensor bias = at::randn({c.out}).to(at::kBFloat16);
    compare(
        [&](const Tensors& x) -> Tensors {
          const at::ScalarType type = x[0].scalar_type();
          Layer layer{.weight = weight.to(type), .bias = bias.to(type), .is_conv = true};
          layer.stride = c.stride;
          layer.padding = c.padding;
          return {layer.forward(x[0])};
        },
        {at::randn({2, c.in, 11, 14})});
  }
}

// A 1 x 1 convolution with its adapter is a linear layer over positions.
TEST(Kernels, PointwiseConvolution) {
  at::manual_seed(16);
  const at::Tensor weight = at::randn({9, 12, 1, 1}), bias = at::randn({9});
  compare(
      [&](const Tensors& x) -> Tensors {
        const at::ScalarType type = x[0].scalar_type();
        Layer layer{.weight = weight.to(at::kBFloat16).to(type),
                    .bias = bias.to(at::kBFloat16).to(type),
                    .is_conv = true};
        layer.adapters = {{.a = x[1].to(at::kFloat), .b = x[2].to(at::kFloat), .scale = 2}};
        return {layer.forward(x[0])};
      },
      {at::randn({2, 12, 5, 7}), at::randn({3, 12, 1, 1}), at::randn({9, 3, 1, 1})});
}

// A convolution with an adapter: the base fused, the low rank in plain ATen.
TEST(Kernels, ConvolutionWithAdapter) {
  at::manual_seed(17);
  for (const std::int64_t stride : {1, 2}) {
    const at::Tensor weight = at::randn({9, 12, 3, 3}), bias = at::randn({9});
    compare(
        [&](const Tensors& x) -> Tensors {
          const at::ScalarType type = x[0].scalar_type();
          Layer layer{.weight = weight.to(at::kBFloat16).to(type),
                      .bias = bias.to(at::kBFloat16).to(type),
                      .is_conv = true};
          layer.stride = stride;
          layer.padding = 1;
          layer.adapters = {{.a = x[1].to(at::kFloat), .b = x[2].to(at::kFloat), .scale = 2}};
          return {layer.forward(x[0])};
        },
        {at::randn({2, 12, 5, 7}), at::randn({3, 12, 3, 3}), at::randn({9, 3, 1, 1})});
  }
}

TEST(Kernels, Rotate) {
  at::manual_seed(2);
  for (const std::int64_t width : {2, 6, 50, 64}) {
    for (const std::int64_t rows : {1, 2}) {
      const at::Tensor angle = at::randn({rows, 9, width});
      compare([&](const Tensors& x) -> Tensors { return {rotate(x[0], angle.cos(), angle.sin())}; },
              {at::randn({2, 9, 3, width})});
    }
  }
}

TEST(Kernels, Gated) {
  at::manual_seed(3);
  for (const Activation kind :
       {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::relu}) {
    compare([&](const Tensors& x) -> Tensors { return {gated(x[0], x[1], kind)}; },
            {at::randn({7, 33}) * 4, at::randn({7, 33})});
  }
  const at::Tensor far = at::tensor({-1e4F, -100.0F, 0.0F, 100.0F, 1e4F});
  EXPECT_TRUE(at::isfinite(gated(far, at::ones({5}), Activation::silu)).all().item<bool>());
}

TEST(Kernels, Attention) {
  at::manual_seed(4);
  const at::Tensor documents =
      at::cat({at::full({2, 70}, 1L), at::full({2, 63}, 2L), at::full({2, 4}, 0L)}, 1);
  for (const std::int64_t length : {5, 137}) {
    for (const std::int64_t window : {0, 40}) {
      for (const double softcap : {0.0, 2.0}) {
        for (const bool packed : {false, true}) {
          AttentionMask mask{.causal = true, .window = window};
          if (packed) mask.documents = documents.narrow(1, 137 - length, length).contiguous();
          compare(
              [&](const Tensors& x) -> Tensors {
                return {attention(x[0], x[1], x[2], 0.3, mask, softcap)};
              },
              {at::randn({2, length, 6, 20}), at::randn({2, length, 2, 20}),
               at::randn({2, length, 2, 20})});
        }
      }
    }
  }
}

TEST(Kernels, AttentionInManyBlocks) {
  at::manual_seed(5);
  for (const bool causal : {true, false}) {
    const AttentionMask mask{.causal = causal};
    compare(
        [&](const Tensors& x) -> Tensors { return {attention(x[0], x[1], x[2], 0.2, mask)}; },
        {at::randn({1, 1100, 2, 16}), at::randn({1, 1100, 1, 16}), at::randn({1, 1100, 1, 16})});
  }
}

// As many keys as a text has, or more than a block holds; odd head widths; nothing is masked.
TEST(Kernels, CrossAttention) {
  at::manual_seed(11);
  const AttentionMask mask{.causal = false};
  for (const std::int64_t keys : {3, 77, 500}) {
    for (const std::int64_t width : {7, 40, 64}) {
      compare([&](const Tensors& x) -> Tensors { return {attention(x[0], x[1], x[2], 0.2, mask)}; },
              {at::randn({2, 131, 2, width}), at::randn({2, keys, 2, width}),
               at::randn({2, keys, 2, width})});
    }
  }
}

// The products of attention where the processor multiplies pairs and where it does not.
TEST(Kernels, TileProducts) {
  using simd::Unit;
  at::manual_seed(12);
  for (const Unit unit : {Unit::f32, Unit::bf16_pair}) {
    if (unit == Unit::bf16_pair && !simd::has_bf16_pairs()) continue;
    for (const std::size_t columns : {16, 32, 48, 64, 80, 112}) {
      const std::size_t rows = 16, inner = 21, units = simd::round_up(inner, 2);
      const at::Tensor a = at::randn({16, 21}).to(at::kBFloat16);
      const at::Tensor b = at::randn({static_cast<std::int64_t>(columns), 21}).to(at::kBFloat16);
      std::vector<std::uint32_t> left(rows * units), right(units * columns);
      pack_left(unit, {simd::Element::bf16, a.data_ptr(), rows, inner, inner}, left.data(), units);
      pack_right_transposed(unit, {simd::Element::bf16, b.data_ptr(), columns, inner, inner},
                            right.data(), columns);
      const at::Tensor c = at::ones({16, static_cast<std::int64_t>(columns)});
      const std::size_t depth = (inner + depth_of(unit) - 1) / depth_of(unit);
      multiply_tiles(unit, {rows, columns, depth, left.data(), units, 1, right.data(), columns,
                            c.data_ptr<float>(), columns, true});
      const at::Tensor expected = at::mm(a.to(at::kFloat), b.to(at::kFloat).t()) + 1;
      EXPECT_LT(relative(c, expected), 1e-6) << columns;
    }
  }
}

TEST(Kernels, CrossEntropy) {
  at::manual_seed(6);
  const at::Tensor labels = at::randint(0, 1003, {77}, at::kLong);
  const at::Tensor head = at::randn({1003, 24});
  for (const double softcap : {0.0, 3.0}) {
    compare(
        [&](const Tensors& x) -> Tensors {
          const at::Tensor weight = head.to(at::kBFloat16).to(x[0].scalar_type());
          return {linear_cross_entropy(x[0], weight, labels, softcap)};
        },
        {at::randn({77, 24})});
  }
}

namespace {

// A layer whose adapter takes part as inputs [a, b]; the base is fixed and exact in bfloat16.
Layer layer_of(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& a,
               const at::Tensor& b, at::ScalarType type) {
  Layer layer{.weight = weight.to(at::kBFloat16).to(type)};
  if (bias.defined()) layer.bias = bias.to(at::kBFloat16).to(type);
  if (a.defined()) {
    layer.adapters = {{.a = a.to(at::kFloat), .b = b.to(at::kFloat), .scale = 2, .weight = 0.5}};
  }
  return layer;
}

}  // namespace

TEST(Kernels, LinearAndQkv) {
  at::manual_seed(8);
  const at::Tensor wq = at::randn({33, 29}), wk = at::randn({17, 29}), bias = at::randn({33});
  compare(
      [&](const Tensors& x) -> Tensors {
        const at::ScalarType type = x[0].scalar_type();
        return {layer_of(wq, bias, x[1], x[2], type).forward(x[0])};
      },
      {at::randn({3, 5, 29}), at::randn({3, 29}), at::randn({33, 3})});
  compare(
      [&](const Tensors& x) -> Tensors {
        const at::ScalarType type = x[0].scalar_type();
        const Qkv out =
            project_qkv(layer_of(wq, bias, x[1], x[2], type), layer_of(wk, {}, {}, {}, type),
                        layer_of(wk, {}, x[3], x[4], type), x[0]);
        return {out.q, out.k, out.v};
      },
      {at::randn({3, 5, 29}), at::randn({3, 29}), at::randn({33, 3}), at::randn({5, 29}),
       at::randn({17, 5})});
}

TEST(Kernels, GatedMlp) {
  at::manual_seed(9);
  const at::Tensor wg = at::randn({37, 29}), wu = at::randn({37, 29}), wd = at::randn({29, 37});
  for (const Activation kind : {Activation::silu, Activation::gelu, Activation::gelu_tanh}) {
    compare(
        [&](const Tensors& x) -> Tensors {
          const at::ScalarType type = x[0].scalar_type();
          return {gated_mlp(layer_of(wg, {}, x[1], x[2], type), layer_of(wu, {}, {}, {}, type),
                            layer_of(wd, {}, x[3], x[4], type), x[0], kind)};
        },
        {at::randn({2, 11, 29}), at::randn({3, 29}), at::randn({37, 3}), at::randn({2, 37}),
         at::randn({29, 2})});
  }
}

TEST(Kernels, ProductOnStridesAndInsideParallelRegions) {
  at::manual_seed(10);
  const at::Tensor a = at::randn({31, 12}), b = at::randn({12, 23}), c = at::randn({31, 23});
  at::Tensor out = c.clone();
  kernels::multiply(kernels::matrix(a.t().contiguous()).transposed(), kernels::matrix(b),
                    kernels::matrix(out), true);
  EXPECT_LT(relative(out, at::mm(a, b) + c), 1e-6);
  at::set_num_threads(2);
  std::vector<at::Tensor> results(8);
  at::parallel_for(0, 8, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      results[static_cast<std::size_t>(i)] = at::zeros({31, 23});
      kernels::multiply(kernels::matrix(a), kernels::matrix(b),
                        kernels::matrix(results[static_cast<std::size_t>(i)]));
    }
  });
  for (const at::Tensor& result : results) EXPECT_LT(relative(result, at::mm(a, b)), 1e-6);
}

}  // namespace lora
