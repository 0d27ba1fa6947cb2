// SPDX-License-Identifier: Apache-2.0
// A fused operator against its plain twin: values and gradients, float32 and bfloat16, one and two
// threads.
#pragma once

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <vector>

#include "io/aten.h"
#include "nn/backends.h"

namespace lora::test {

using Tensors = std::vector<at::Tensor>;
using Operator = std::function<Tensors(const Tensors&)>;

struct Outcome {
  Tensors values, gradients;
};

// Values of `run` on copies of `inputs`, and the gradients of their product with fixed weights.
inline Outcome outcome(const Operator& run, const Tensors& inputs, bool fused,
                       at::ScalarType type) {
  const FusedKernels choice(fused);
  Tensors leaves, scalars;
  for (const at::Tensor& x : inputs) {
    const bool keep = x.scalar_type() == at::kLong;
    leaves.push_back(keep ? x : x.to(type).detach().clone().requires_grad_(true));
  }
  Outcome result{.values = run(leaves)};
  at::Tensor total = at::zeros({}, at::kFloat);
  at::manual_seed(7);
  for (const at::Tensor& y : result.values) {
    total = total + (y.to(at::kFloat) * at::randn(y.sizes())).sum();
  }
  result.gradients = torch::autograd::grad({total}, leaves);
  return result;
}

inline double relative(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().to(at::kDouble), y = b.detach().to(at::kDouble);
  return ((x - y).norm() / (y.norm() + 1e-30)).item<double>();
}

// bfloat16 runs are compared with the plain operator in float32 on the same rounded inputs.
inline void compare(const Operator& run, const Tensors& inputs) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Tensors rounded;
    for (const at::Tensor& x : inputs) {
      rounded.push_back(x.scalar_type() == at::kLong ? x : x.to(type).to(at::kFloat));
    }
    const Outcome expected = outcome(run, rounded, false, at::kFloat);
    const double bound = type == at::kFloat ? 1e-5 : 1e-2;
    for (const int threads : {1, 2}) {
      at::set_num_threads(threads);
      const Outcome found = outcome(run, rounded, true, type);
      for (std::size_t i = 0; i < found.values.size(); ++i) {
        EXPECT_LT(relative(found.values[i], expected.values[i]), bound) << "value " << i;
      }
      for (std::size_t i = 0; i < found.gradients.size(); ++i) {
        EXPECT_LT(relative(found.gradients[i], expected.gradients[i]), bound) << "gradient " << i;
      }
    }
  }
}

}  // namespace lora::test
