// SPDX-License-Identifier: Apache-2.0
#include "nn/ops.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "io/aten.h"
#include "nn/ops_plain.h"

namespace lora {
namespace {

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

at::Tensor leaf(at::IntArrayRef shape) { return at::randn(shape).requires_grad_(true); }

}  // namespace

TEST(Ops, LinearCrossEntropyEqualsFullLogits) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({301, 12});
  const at::Tensor labels = at::randint(0, 301, {40}, at::kLong);
  for (double cap : {0.0, 3.0}) {
    const at::Tensor hidden = leaf({40, 12});
    const at::Tensor fused = linear_cross_entropy(hidden, weight, labels, cap);
    const auto gradient = torch::autograd::grad({fused * 0.25}, {hidden})[0];
    at::Tensor logits = at::linear(hidden, weight);
    if (cap > 0) logits = (logits / cap).tanh() * cap;
    const at::Tensor expected = at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum);
    EXPECT_NEAR(fused.item<double>(), expected.item<double>(), 1e-3);
    const auto reference = torch::autograd::grad({expected * 0.25}, {hidden})[0];
    EXPECT_LT(distance(gradient, reference), 1e-5);
  }
}

// Chunks of 16 rows at this vocabulary, the last one of 8: the whole is the sum of its parts, and
// what the full logits give.
TEST(Ops, LinearCrossEntropyInSeveralChunks) {
  at::manual_seed(4);
  const std::int64_t words = std::int64_t{1} << 19, rows = 40;
  at::Tensor labels = at::randint(0, words, {rows}, at::kLong);
  labels[39] = words - 1;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor weight = at::randn({words, 4}).to(type);
    const at::Tensor hidden = at::randn({rows, 4}).to(type).requires_grad_(true);
    const at::Tensor fused = linear_cross_entropy(hidden, weight, labels);
    const at::Tensor gradient = torch::autograd::grad({fused}, {hidden})[0];
    double sum = 0;
    for (std::int64_t begin = 0; begin < rows; begin += 16) {
      const std::int64_t size = std::min<std::int64_t>(16, rows - begin);
      const at::Tensor part = hidden.detach().narrow(0, begin, size).requires_grad_(true);
      const at::Tensor loss = linear_cross_entropy(part, weight, labels.narrow(0, begin, size));
      sum += loss.item<double>();
      EXPECT_EQ(distance(torch::autograd::grad({loss}, {part})[0], gradient.narrow(0, begin, size)),
                0);
    }
    EXPECT_NEAR(fused.item<double>() / sum, 1, 1e-6);
    const at::Tensor plain = hidden.detach().to(at::kDouble).requires_grad_(true);
    const at::Tensor expected = at::cross_entropy_loss(at::linear(plain, weight.to(at::kDouble)),
                                                       labels, {}, at::Reduction::Sum);
    EXPECT_NEAR(fused.item<double>() / expected.item<double>(), 1, 1e-5);
    const at::Tensor reference = torch::autograd::grad({expected}, {plain})[0];
    const double scale = reference.abs().max().item<double>();
    EXPECT_LT(distance(gradient, reference) / scale, type == at::kFloat ? 1e-4 : 2e-2);
  }
}

TEST(Ops, AttentionKeepsDocumentsAndWindowApart) {
  at::manual_seed(2);
  const at::Tensor q = at::randn({1, 7, 4, 6}), k = at::randn({1, 7, 2, 6}),
                   v = at::randn({1, 7, 2, 6});
  const at::Tensor documents = at::tensor({0L, 1L, 1L, 1L, 2L, 2L, 2L}).unsqueeze(0);
  const at::Tensor packed = attention(q, k, v, 0.4, {.documents = documents});
  for (const auto& [begin, size] : {std::pair{1, 3}, {4, 3}}) {
    const auto part = [&begin = begin, &size = size](const at::Tensor& t) {
      return t.narrow(1, begin, size);
    };
    EXPECT_LT(distance(part(packed), attention(part(q), part(k), part(v), 0.4, {})), 1e-6);
  }
  // With a window of 1 a token sees only itself.
  const at::Tensor alone = attention(q, k, v, 0.4, {.window = 1});
  EXPECT_LT(distance(alone, v.repeat_interleave(2, 2)), 1e-6);
}

TEST(Ops, AttentionWithCachedKeysEqualsWholeSequence) {
  const at::Tensor q = at::randn({2, 9, 4, 6}), k = at::randn({2, 9, 4, 6}),
                   v = at::randn({2, 9, 4, 6});
  for (std::int64_t window : {0, 3}) {
    const at::Tensor whole = attention(q, k, v, 0.4, {.window = window}, 2.0);
    const at::Tensor last =
        attention(q.narrow(1, 6, 3), k, v, 0.4, {.window = window, .past = 6}, 2.0);
    EXPECT_LT(distance(whole.narrow(1, 6, 3), last), 1e-6);
  }
}

TEST(Ops, NormAndRotationKeepTheirDtype) {
  const at::Tensor x = at::randn({1, 3, 2, 8}).to(at::kBFloat16);
  EXPECT_EQ(rms_norm(x, at::ones({8}), 1e-6, 1).scalar_type(), at::kBFloat16);
  const at::Tensor zero = at::zeros({1, 3, 8});
  EXPECT_EQ(distance(rotate(x, zero + 1, zero), x), 0);
  // A quarter turn maps (first half, second half) to (-second, first).
  const at::Tensor turned = rotate(x, zero, zero + 1);
  EXPECT_EQ(distance(turned.narrow(3, 4, 4), x.narrow(3, 0, 4)), 0);
  EXPECT_EQ(distance(turned.narrow(3, 0, 4), -x.narrow(3, 4, 4)), 0);
}

TEST(Ops, PlainGroupNormInBfloat16) {
  at::manual_seed(6);
  const at::Tensor x = at::randn({1, 64, 32, 32}) + 1;
  const GroupNormWeights norm{at::randn({64}), at::randn({64}), 8, 1e-5};
  const at::Tensor expected = plain::group_norm(x, norm, true, {});
  const at::Tensor found = plain::group_norm(
      x.to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast), norm, true, {});
  EXPECT_EQ(found.scalar_type(), at::kBFloat16);
  EXPECT_LT(distance(found, expected), 0.06);  // of values up to 9
}

TEST(Ops, ActivationNames) {
  EXPECT_EQ(activation_from_name("gelu_new", "x"), Activation::gelu_tanh);
  try {
    activation_from_name("silo", "config.json: 'hidden_act'");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "config.json: 'hidden_act' 'silo': unknown (known: silu, swish, gelu, gelu_new, "
                 "gelu_fast, gelu_pytorch_tanh, relu); did you mean 'silu'?");
  }
}

}  // namespace lora
