// SPDX-License-Identifier: Apache-2.0
// Winograd's convolution against the direct sum in float32, forward and the input's gradient.
#include "nn/kernels/winograd.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "io/aten.h"
#include "nn/kernels/simd_tile.h"
#include "nn/layer.h"

namespace lora {
namespace {

double relative(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().to(at::kDouble), y = b.detach().to(at::kDouble);
  return ((x - y).norm() / y.norm()).item<double>();
}

struct Case {
  std::int64_t batch, in, out, height, width;
};

// In bfloat16 with the kernels; in float32 as ATen computes it, where `exact`.
std::pair<at::Tensor, at::Tensor> result(const at::Tensor& weight, const at::Tensor& bias,
                                         const at::Tensor& x, bool exact) {
  const at::ScalarType type = exact ? at::kFloat : at::kBFloat16;
  const at::Tensor leaf = x.to(type).detach().clone().requires_grad_(true);
  const Layer own{.weight = weight.to(type), .bias = bias.to(type), .is_conv = true, .padding = 1};
  const at::Tensor y =
      exact ? at::conv2d(leaf, weight.to(type), own.bias, 1, 1) : own.forward(leaf);
  at::manual_seed(3);
  y.backward(at::randn(y.sizes()).to(at::kBFloat16).to(type));
  return {y, leaf.grad()};
}

TEST(Kernels, WinogradConvolution) {
  if (!simd::has_bf16_pairs()) GTEST_SKIP() << "skipped: no AVX512-BF16";
  at::manual_seed(21);
  // Odd sizes leave half tiles; the last is cut into parts that fit the cache.
  for (const Case& c : {Case{2, 32, 48, 11, 14}, Case{1, 16, 32, 17, 15}, Case{1, 320, 320, 16, 16},
                        Case{1, 64, 64, 100, 160}}) {
    const at::Tensor weight = at::randn({c.out, c.in, 3, 3}).to(at::kBFloat16);
    const at::Tensor bias = at::randn({c.out}).to(at::kBFloat16);
    const at::Tensor x = at::randn({c.batch, c.in, c.height, c.width}).to(at::kBFloat16);
    ASSERT_TRUE(kernels::Winograd::suits(weight, x));
    const auto [y, dx] = result(weight, bias, x, false);
    const auto [exact_y, exact_dx] = result(weight, bias, x, true);
    std::printf("winograd: %s %.2e %.2e\n", c10::str(x.sizes()).c_str(), relative(y, exact_y),
                relative(dx, exact_dx));
    EXPECT_LT(relative(y, exact_y), 5e-3);
    EXPECT_LT(relative(dx, exact_dx), 5e-3);
  }
}

TEST(Kernels, WinogradSuitsLargePicturesOnly) {
  if (!simd::has_bf16_pairs()) GTEST_SKIP() << "skipped: no AVX512-BF16";
  const auto suits = [](at::IntArrayRef weight, at::ScalarType type, at::IntArrayRef sizes) {
    return kernels::Winograd::suits(at::empty(weight, type), at::empty(sizes, type));
  };
  EXPECT_TRUE(suits({32, 32, 3, 3}, at::kBFloat16, {1, 32, 16, 16}));
  EXPECT_FALSE(suits({32, 32, 3, 3}, at::kBFloat16, {1, 32, 8, 8}));
  EXPECT_TRUE(suits({32, 32, 3, 3}, at::kBFloat16, {4, 32, 8, 8}));
  EXPECT_FALSE(suits({32, 32, 3, 3}, at::kFloat, {1, 32, 16, 16})) << "float32 is summed directly";
  EXPECT_FALSE(suits({32, 32, 1, 1}, at::kBFloat16, {1, 32, 16, 16}));
  EXPECT_FALSE(suits({4, 32, 3, 3}, at::kBFloat16, {1, 32, 16, 16}));
}

}  // namespace
}  // namespace lora
