// SPDX-License-Identifier: Apache-2.0
#include "nn/layer.h"

#include <gtest/gtest.h>

#include "io/aten.h"

namespace lora {

TEST(Layer, AdapterEqualsMergedWeight) {
  Layer layer{.weight = at::randn({6, 5}), .bias = at::randn({6})};
  layer.adapters = {{.a = at::randn({2, 5}), .b = at::randn({6, 2}), .alpha = 4, .scale = 2}};
  const at::Tensor x = at::randn({3, 5});
  const at::Tensor merged = at::linear(x, layer.weight.dense() + adapter_delta(layer), layer.bias);
  EXPECT_LT((layer.forward(x) - merged).abs().max().item<double>(), 1e-5);
}

}  // namespace lora
