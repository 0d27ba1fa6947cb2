// SPDX-License-Identifier: Apache-2.0
// Six updates of a matrix and a vector with known gradients, against torch.optim 2.14 (AdamW, SGD)
// and transformers 5.12 (Adafactor): learning rate 0.05, weight decay 0.1.
#include "train/optimizers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "io/aten.h"

namespace lora {
namespace {

std::vector<Parameter> small_parameters() {
  const at::Tensor w = at::tensor({0.5F, -0.25F, 0.125F, 1.0F, -1.5F, 2.0F}).view({2, 3});
  const at::Tensor b = at::tensor({0.3F, -0.7F});
  return {{.name = "w", .value = w, .weight_decay = 0.1},
          {.name = "b", .value = b, .weight_decay = 0.1}};
}

// The pool may order parameters by group: look one up by name.
std::size_t place(const ParameterPool& pool, const std::string& name) {
  for (std::size_t i = 0; i < pool.parameters().size(); ++i) {
    if (pool.parameters()[i].name == name) return i;
  }
  throw Error("no parameter " + name);
}

void set_gradients(ParameterPool& pool, int t) {
  at::Tensor w = pool.view(pool.gradients(), place(pool, "w"));
  at::Tensor b = pool.view(pool.gradients(), place(pool, "b"));
  for (int k = 0; k < 6; ++k) w.view({6})[k] = std::sin(1.0 + t + 0.7 * k) * 0.5;
  for (int k = 0; k < 2; ++k) b[k] = std::cos(0.5 * t + k) * 2.0;
}

std::vector<float> values(const ParameterPool& pool) {
  std::vector<float> all;
  const TensorMap tensors = pool.snapshot();
  for (const char* name : {"w", "b"}) {
    const at::Tensor& tensor = tensors.at(name);
    all.insert(all.end(), tensor.data_ptr<float>(), tensor.data_ptr<float>() + tensor.numel());
  }
  return all;
}

std::vector<float> run(const std::string& name, int steps) {
  ParameterPool pool(small_parameters());
  const auto optimizer = make_optimizer({.optimizer = name, .momentum = 0.9});
  for (int t = 0; t < steps; ++t) {
    set_gradients(pool, t);
    optimizer->step(pool, 0.05);
  }
  return values(pool);
}

void expect_near(const std::vector<float>& found, const std::vector<float>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-6) << i;
}

TEST(Optimizers, AdamWGivesTheNumbersOfTorch) {
  expect_near(run("adamw", 6), {0.344803244F, -0.324191451F, 0.120747626F, 1.04557359F,
                                -1.29380739F, 2.05332112F, 0.0748054609F, -0.682026148F});
}

TEST(Optimizers, SgdGivesTheNumbersOfTorch) {
  expect_near(run("sgd", 6), {0.36078459F, -0.255377829F, 0.167671025F, 1.02166343F, -1.25488675F,
                              1.88912499F, -0.576000929F, -0.274418503F});
}

TEST(Optimizers, AdafactorGivesTheNumbersOfTransformers) {
  expect_near(run("adafactor", 6), {0.489212751F, -0.21309872F, 0.148757666F, 0.978815556F,
                                    -1.46197605F, 1.92689788F, 0.23883754F, -0.501514614F});
}

// Lion moves every element by exactly the rate, after decay.
TEST(Optimizers, LionMovesByTheSign) {
  const std::vector<float> found = run("lion", 1);
  const float w0 = 0.5F * (1 - 0.05F * 0.1F) - 0.05F;  // its gradient is positive
  EXPECT_NEAR(found[0], w0, 1e-7);
  EXPECT_NEAR(found[7], -0.7F * (1 - 0.05F * 0.1F) - 0.05F, 1e-7);
}

TEST(Optimizers, StateRestoresTheRunExactly) {
  for (const OptimizerRow& row : optimizer_rows()) {
    ParameterPool first(small_parameters());
    const auto optimizer = row.make({.momentum = 0.9});
    for (int t = 0; t < 3; ++t) {
      set_gradients(first, t);
      optimizer->step(first, 0.05);
    }
    ParameterPool second(small_parameters());
    second.restore(first.snapshot(), "test");
    const auto again = row.make({.momentum = 0.9});
    again->restore(second, optimizer->state(first), "test");
    for (int t = 3; t < 6; ++t) {
      set_gradients(second, t);
      again->step(second, 0.05);
    }
    EXPECT_EQ(values(second), run(std::string(row.name), 6)) << row.name;
  }
}

TEST(Optimizers, LoraPlusScalesTheRateOfBAndOfVectors) {
  std::vector<Parameter> parameters = {{.name = "x.lora_A.weight", .value = at::ones({2, 3})},
                                       {.name = "x.lora_B.weight", .value = at::ones({3, 2})},
                                       {.name = "x.lora_magnitude_vector", .value = at::ones({3})}};
  apply_loraplus(parameters, 16);
  EXPECT_EQ(parameters[0].lr_multiplier, 1);
  EXPECT_EQ(parameters[1].lr_multiplier, 16);
  EXPECT_EQ(parameters[2].lr_multiplier, 16);
  ParameterPool pool(parameters);
  EXPECT_EQ(pool.ranges().size(), 2U);
  EXPECT_EQ(pool.trainable(), 15);
  pool.gradients().fill_(1);
  make_optimizer({.optimizer = "sgd"})->step(pool, 0.01);
  EXPECT_FLOAT_EQ(pool.snapshot().at("x.lora_A.weight")[0][0].item<float>(), 0.99F);
  EXPECT_FLOAT_EQ(pool.snapshot().at("x.lora_B.weight")[0][0].item<float>(), 0.84F);
}

TEST(ParameterPool, KeepsTheIdentityOfTheModelsTensors) {
  at::Tensor weight = at::ones({3, 5}).set_requires_grad(true);
  ParameterPool pool({{.name = "w", .value = weight}});
  (weight * 2).sum().backward();
  (weight * 2).sum().backward();  // accumulates into the flat buffer
  EXPECT_FLOAT_EQ(pool.gradients().sum().item<float>(), 60);
  EXPECT_NEAR(pool.gradient_norm().item<double>(), std::sqrt(15 * 16.0), 1e-9);
  pool.values().fill_(7);
  EXPECT_FLOAT_EQ(weight[2][4].item<float>(), 7);
}

TEST(ParameterPool, RefusesWhatCannotBeTrained) {
  EXPECT_THROW(ParameterPool({}), Error);
  EXPECT_THROW(
      ParameterPool({{.name = "w", .value = at::ones(2)}, {.name = "w", .value = at::ones(2)}}),
      Error);
  ParameterPool pool({{.name = "w", .value = at::ones(2)}});
  EXPECT_THROW(pool.restore({{"w", at::ones(3)}}, "file"), Error);
}

}  // namespace
}  // namespace lora
