// SPDX-License-Identifier: Apache-2.0
#include "nn/backends.h"

#include <gtest/gtest.h>

#include "io/aten.h"

namespace lora {
namespace {

LayerTerm linear_of(at::ScalarType type) {
  return {.weight = at::randn({4, 3}).to(type),
          .bias = at::randn({4}).to(type),
          .adapters = {{.a = at::randn({2, 3}), .b = at::randn({4, 2})}}};
}

TEST(Backends, TakeDeviceAndNumberFormat) {
  const at::Tensor weight = at::ones({3});
  const auto taken = [&](const at::Tensor& x) {
    return backend_of(&Backend::rms_norm, x, weight, 1e-5, 0) != nullptr;
  };
  EXPECT_TRUE(taken(at::ones({2, 3})));
  EXPECT_EQ(backend_of(&Backend::rms_norm, at::ones({2, 3}), weight, 1e-5, 0)->name, "cpu");
  EXPECT_TRUE(taken(at::ones({2, 3}, at::kBFloat16)));
  EXPECT_FALSE(taken(at::ones({2, 3}, at::kDouble)));
  EXPECT_FALSE(taken(at::ones({2, 3}, at::kHalf)));
  EXPECT_FALSE(taken(at::ones({0, 3})));
  EXPECT_FALSE(taken(at::ones({2, 3}, at::TensorOptions(at::Device(at::kMeta)))));
  const FusedKernels off(false);
  EXPECT_FALSE(taken(at::ones({2, 3})));
}

TEST(Backends, TakeLinearLayersWithPlainAdapters) {
  const auto taken = [](const LayerTerm& term) {
    return backend_of(&Backend::linears, at::ones({5, 3}), {&term, 1}) != nullptr;
  };
  LayerTerm term = linear_of(at::kFloat);
  EXPECT_TRUE(taken(term));
  term.adapters.push_back(term.adapters[0]);
  EXPECT_TRUE(taken(term));
  term.adapters[1].dropout = 0.1;
  EXPECT_FALSE(taken(term));
  term = linear_of(at::kFloat);
  term.adapters[0].magnitude = at::ones({4});
  EXPECT_FALSE(taken(term));
  EXPECT_FALSE(taken(linear_of(at::kBFloat16))) << "the input is float32";
  term = linear_of(at::kFloat);
  term.bias = term.bias.to(at::kBFloat16);
  EXPECT_FALSE(taken(term));
}

TEST(Backends, TakeConvolutions) {
  LayerTerm term{.weight = at::randn({4, 3, 1, 1}), .is_conv = true};
  const at::Tensor picture = at::ones({1, 3, 5, 5});
  EXPECT_NE(backend_of(&Backend::conv, picture, term), nullptr);
  EXPECT_EQ(backend_of(&Backend::conv, at::ones({3, 5, 5}), term), nullptr);
  EXPECT_EQ(backend_of(&Backend::conv, at::ones({1, 2, 5, 5}), term), nullptr);
  EXPECT_NE(backend_of(&Backend::pointwise, picture, term), nullptr);
  term.stride = 2;
  EXPECT_NE(backend_of(&Backend::conv, picture, term), nullptr);
  EXPECT_EQ(backend_of(&Backend::pointwise, picture, term), nullptr);
  const LayerTerm wide{.weight = at::randn({4, 3, 3, 3}), .is_conv = true};
  EXPECT_EQ(backend_of(&Backend::pointwise, picture, wide), nullptr);
}

TEST(Backends, TakeAttentionWithoutCache) {
  const auto taken = [](std::int64_t queries, std::int64_t keys, const AttentionMask& mask) {
    const at::Tensor q = at::ones({1, queries, 2, 8}), k = at::ones({1, keys, 2, 8});
    return backend_of(&Backend::attention, q, k, k, 1, mask, 0) != nullptr;
  };
  EXPECT_TRUE(taken(5, 5, {}));
  EXPECT_TRUE(taken(5, 9, {.causal = false}));
  EXPECT_FALSE(taken(5, 9, {}));
  EXPECT_FALSE(taken(1, 1, {}));
  EXPECT_FALSE(taken(5, 5, {.past = 4}));
  EXPECT_FALSE(taken(5, 5, {.causal = false, .window = 3}));
}

}  // namespace
}  // namespace lora
