// SPDX-License-Identifier: Apache-2.0
#include "train/adapter_parameters.h"

#include <gtest/gtest.h>

#include "io/aten.h"
#include "nn/new_adapter.h"

namespace lora {

// A patch: the parent's adapter frozen below a fresh one.
TEST(AdapterParameters, AreThoseOfTheEntriesThatTrain) {
  Layer layer{.weight = at::randn({6, 16})};
  const std::vector<NamedLayer> layers = {{"a.q_proj", &layer}};
  AdapterFile parent;
  parent.modules.resize(1);
  parent.modules[0].path = "a.q_proj";
  parent.modules[0].a = at::randn({2, 16});
  parent.modules[0].b = at::randn({6, 2});
  parent.modules[0].scale = 1.5;
  attach(parent, match_adapter(parent, shapes_of(layers)), layers,
         {.weight = 0.5, .dropout = 0.1, .trains = false});
  const at::Tensor x = at::randn({3, 16});
  const at::Tensor before = layer.forward(x);
  create_adapters({.lora_rank = 4, .lora_alpha = 8}, 1, layers);
  ASSERT_EQ(layer.adapters.size(), 2U);
  EXPECT_EQ(layer.adapters[0].scale * layer.adapters[0].weight, 0.75);
  EXPECT_EQ(layer.adapters[0].dropout, 0.1);
  EXPECT_TRUE(at::allclose(layer.forward(x), before, 1e-5, 1e-6));

  const std::vector<Parameter> parameters = adapter_parameters(layers);
  ASSERT_EQ(parameters.size(), 2U);
  EXPECT_EQ(parameters[0].name, "base_model.model.a.q_proj.lora_A.weight");
  EXPECT_EQ(parameters[1].name, "base_model.model.a.q_proj.lora_B.weight");
  EXPECT_TRUE(parameters[0].value.is_same(layer.adapters[1].a));
  layer.forward(x).sum().backward();
  EXPECT_TRUE(parameters[1].value.grad().defined());
  EXPECT_FALSE(layer.adapters[0].a.requires_grad());

  const AdapterFile written = detach(layers, AdapterKind::llm);
  ASSERT_EQ(written.modules.size(), 1U);
  EXPECT_TRUE(at::equal(written.modules[0].a, layer.adapters[1].a));
}

}  // namespace lora
