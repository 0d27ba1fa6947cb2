// SPDX-License-Identifier: Apache-2.0
// Layers with several adapters: fused against plain, two against one that joins them, and what
// inactive and frozen entries do.
#include "nn/adapter_stack.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/aten.h"
#include "nn/layer.h"
#include "nn/projections.h"
#include "tests/twins.h"

namespace lora {
namespace {

using test::compare;
using test::relative;
using test::Tensors;

constexpr double kScales[] = {2, -0.5, 0.75};

at::Tensor exact(at::IntArrayRef shape) {
  return at::randn(shape).to(at::kBFloat16).to(at::kFloat);
}

struct Kind {
  std::int64_t in, out, kernel;  // kernel 0: linear
};
constexpr Kind kKinds[] = {{29, 33, 0}, {12, 9, 3}, {12, 9, 1}};

std::vector<std::int64_t> a_shape(const Kind& kind, std::int64_t rank) {
  if (kind.kernel == 0) return {rank, kind.in};
  return {rank, kind.in, kind.kernel, kind.kernel};
}
std::vector<std::int64_t> b_shape(const Kind& kind, std::int64_t rank) {
  if (kind.kernel == 0) return {kind.out, rank};
  return {kind.out, rank, 1, 1};
}
at::Tensor input_of(const Kind& kind) {
  return kind.kernel == 0 ? exact({3, 5, kind.in}) : exact({2, kind.in, 5, 7});
}

// A layer of fixed numbers in the dtype `type`.
Layer base_of(const Kind& kind, at::ScalarType type = at::kFloat) {
  at::manual_seed(31);
  std::vector<std::int64_t> shape = a_shape(kind, kind.out);
  Layer layer{.weight = exact(shape).to(type), .bias = exact({kind.out}).to(type)};
  layer.is_conv = kind.kernel > 0;
  layer.padding = kind.kernel / 2;
  return layer;
}

// A and B of `count` adapters of ranks 2, 3, 4.
Tensors adapters_of(const Kind& kind, std::size_t count) {
  Tensors list;
  for (std::size_t i = 0; i < count; ++i) {
    const auto rank = static_cast<std::int64_t>(2 + i);
    list.push_back(exact(a_shape(kind, rank)));
    list.push_back(exact(b_shape(kind, rank)));
  }
  return list;
}

// The stack of the tensors [a, b, a, b, ...] from `first` on.
AdapterStack stack_of(const Tensors& tensors, std::size_t first, std::size_t count) {
  AdapterStack stack;
  for (std::size_t i = 0; i < count; ++i) {
    stack.push_back({.a = tensors[first + 2 * i].to(at::kFloat),
                     .b = tensors[first + 2 * i + 1].to(at::kFloat),
                     .scale = kScales[i]});
  }
  return stack;
}

Tensors leaves(const Tensors& tensors) {
  Tensors list;
  for (const at::Tensor& tensor : tensors) list.push_back(tensor.clone().requires_grad_(true));
  return list;
}

// y, and the gradients of a fixed product with it for the leaves that have one.
Tensors outcome(const Layer& layer, const at::Tensor& x, const Tensors& wanted) {
  const at::Tensor y = layer.forward(x);
  at::manual_seed(5);
  const at::Tensor total = (y * at::randn(y.sizes())).sum();
  Tensors result = torch::autograd::grad({total}, wanted, {}, {}, false, /*allow_unused=*/true);
  result.insert(result.begin(), y.detach());
  return result;
}

TEST(AdapterStacks, FusedEqualsPlain) {
  for (const Kind& kind : kKinds) {
    for (const std::size_t count : {0, 1, 2, 3}) {
      Tensors inputs = adapters_of(kind, count);
      inputs.insert(inputs.begin(), input_of(kind));
      compare(
          [&](const Tensors& x) -> Tensors {
            Layer layer = base_of(kind, x[0].scalar_type());
            layer.adapters = stack_of(x, 1, count);
            return {layer.forward(x[0])};
          },
          inputs);
    }
  }
}

TEST(AdapterStacks, FusedMlpEqualsPlain) {
  const Kind in{29, 37, 0}, out{37, 29, 0};
  for (const std::size_t count : {0, 1, 2, 3}) {
    Tensors inputs = {exact({2, 11, 29})};
    for (const Kind& kind : {in, in, out}) {
      const Tensors more = adapters_of(kind, count);
      inputs.insert(inputs.end(), more.begin(), more.end());
    }
    compare(
        [&](const Tensors& x) -> Tensors {
          Layer gate = base_of(in, x[0].scalar_type()), up = gate;
          Layer down = base_of(out, x[0].scalar_type());
          gate.adapters = stack_of(x, 1, count);
          up.adapters = stack_of(x, 1 + 2 * count, count);
          down.adapters = stack_of(x, 1 + 4 * count, count);
          return {gated_mlp(gate, up, down, x[0], Activation::silu)};
        },
        inputs);
  }
}

TEST(AdapterStacks, TwoEqualTheOneThatJoinsThem) {
  for (const Kind& kind : kKinds) {
    for (const bool fused : {true, false}) {
      const FusedKernels choice(fused);
      Layer layer = base_of(kind);
      const at::Tensor x = input_of(kind).requires_grad_(true);
      const Tensors two = leaves(adapters_of(kind, 2));
      layer.adapters = stack_of(two, 0, 2);
      const Tensors apart = outcome(layer, x, {x, two[0], two[1], two[2], two[3]});
      const at::Tensor a = at::cat({two[0], two[2]}, 0).detach().requires_grad_(true);
      const at::Tensor b =
          at::cat({two[1] * kScales[0], two[3] * kScales[1]}, 1).detach().requires_grad_(true);
      layer.adapters = {{.a = a, .b = b}};
      const Tensors joined = outcome(layer, x, {x, a, b});
      EXPECT_LT(relative(apart[0], joined[0]), 1e-6);
      EXPECT_LT(relative(apart[1], joined[1]), 1e-6);
      EXPECT_LT(relative(at::cat({apart[2], apart[4]}, 0), joined[2]), 1e-6);
      EXPECT_LT(relative(at::cat({apart[3] / kScales[0], apart[5] / kScales[1]}, 1), joined[3]),
                1e-6);
    }
  }
}

TEST(AdapterStacks, InactiveOnesChangeNothing) {
  for (const Kind& kind : kKinds) {
    for (const bool fused : {true, false}) {
      const FusedKernels choice(fused);
      Layer layer = base_of(kind);
      const at::Tensor x = input_of(kind).requires_grad_(true);
      const Tensors two = leaves(adapters_of(kind, 2));
      const Tensors base = outcome(layer, x, {x});
      layer.adapters = stack_of(two, 0, 1);
      const Tensors one = outcome(layer, x, {x, two[0], two[1]});
      layer.adapters = stack_of(two, 0, 2);
      layer.adapters[1].active = false;
      const Tensors resting = outcome(layer, x, {x, two[0], two[1], two[2], two[3]});
      for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(at::equal(resting[i], one[i])) << i;
      EXPECT_FALSE(resting[4].defined());
      EXPECT_FALSE(resting[5].defined());
      EXPECT_TRUE(any_active(layer.adapters));
      layer.adapters[0].active = false;
      EXPECT_FALSE(any_active(layer.adapters));
      const Tensors none = outcome(layer, x, {x});
      EXPECT_TRUE(at::equal(none[0], base[0]));
      EXPECT_TRUE(at::equal(none[1], base[1]));
    }
  }
}

// A patch: a frozen entry below (or above) one that trains.
TEST(AdapterStacks, FrozenOnesGetNoGradient) {
  for (const Kind& kind : kKinds) {
    for (const bool fused : {true, false}) {
      const FusedKernels choice(fused);
      Layer layer = base_of(kind);
      const at::Tensor x = input_of(kind).requires_grad_(true);
      const Tensors two = leaves(adapters_of(kind, 2));
      const Tensors wanted = {x, two[0], two[1], two[2], two[3]};
      layer.adapters = stack_of(two, 0, 2);
      const Tensors all = outcome(layer, x, wanted);
      for (const std::size_t frozen : {0, 1}) {
        layer.adapters = stack_of(two, 0, 2);
        layer.adapters[frozen].trains = false;
        const Tensors some = outcome(layer, x, wanted);
        EXPECT_TRUE(at::equal(some[0], all[0]));
        EXPECT_TRUE(at::equal(some[1], all[1]));
        for (std::size_t i = 2; i < 6; ++i) {
          if ((i - 2) / 2 == frozen) {
            EXPECT_FALSE(some[i].defined()) << i;
          } else {
            EXPECT_TRUE(at::equal(some[i], all[i])) << i;
          }
        }
        Tensors learning;
        append_trainable(layer.adapters, learning);
        ASSERT_EQ(learning.size(), 2U);
        EXPECT_TRUE(learning[0].is_same(layer.adapters[1 - frozen].a));
      }
    }
  }
}

// Only an adapter that trains has dropout.
TEST(AdapterStacks, FrozenOnesAreNotDropped) {
  Layer layer = base_of(kKinds[0]);
  const at::Tensor x = input_of(kKinds[0]);
  layer.adapters = stack_of(adapters_of(kKinds[0], 1), 0, 1);
  layer.adapters[0].dropout = 0.5;
  const at::Tensor whole = layer.forward(x);
  const TrainingMode training(true);
  EXPECT_FALSE(at::equal(layer.forward(x), whole));
  layer.adapters[0].trains = false;
  EXPECT_TRUE(at::equal(layer.forward(x), whole));
}

std::string message_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(AdapterStacks, RefuseWhatCannotStandTogether) {
  const Kind& kind = kKinds[0];
  Layer layer = base_of(kind);
  const Tensors two = adapters_of(kind, 2);
  Adapter dora = stack_of(two, 0, 1)[0], plain = stack_of(two, 2, 1)[0];
  dora.magnitude = at::ones({kind.out});
  add_adapter(layer.adapters, dora, "q_proj");
  EXPECT_EQ(message_of([&] { add_adapter(layer.adapters, plain, "q_proj"); }),
            "q_proj: DoRA beside another adapter (found 2 active adapters, expected 1); use "
            "adapters without DoRA");
  layer.adapters = {plain};
  EXPECT_EQ(message_of([&] { add_adapter(layer.adapters, plain, "q_proj"); }),
            "q_proj: 2 adapters would train here (expected at most 1); freeze the others");
  EXPECT_EQ(layer.adapters.size(), 1U);
  layer.adapters = {dora, plain};
  EXPECT_EQ(message_of([&] { layer.forward(input_of(kind)); }),
            "DoRA beside another adapter in one layer (found 2 active adapters, expected 1); use "
            "adapters without DoRA");
  layer.adapters[1].active = false;
  EXPECT_EQ(message_of([&] { layer.forward(input_of(kind)); }), "");
}

}  // namespace
}  // namespace lora
