// SPDX-License-Identifier: Apache-2.0
// Which fused operator computes which input: a table with one row a backend, read from the top.
// What no row takes is computed by the plain twin (ops_plain.h; of layers, layer.cc).
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string_view>
#include <type_traits>

#include "nn/kernels/attention.h"
#include "nn/kernels/conv.h"
#include "nn/kernels/cross_entropy.h"
#include "nn/kernels/elementwise.h"
#include "nn/kernels/group_norm.h"
#include "nn/kernels/lora_linear.h"

namespace lora {

// One operator of a backend.
template <class Signature>
struct Fused;
template <class Result, class... Arguments>
struct Fused<Result(Arguments...)> {
  Result (*run)(Arguments...) = nullptr;  // nullptr: the backend has none
  bool (*suits)(Arguments...) = nullptr;  // shapes and features it takes; nullptr: any
};

struct Backend {
  std::string_view name;
  bool (*takes)(const at::Tensor& x);  // device and number format of an operator's first argument
  Fused<decltype(kernels::rms_norm)> rms_norm;
  Fused<decltype(kernels::add_rms_norm)> add_rms_norm;
  Fused<decltype(kernels::layer_norm)> layer_norm;
  Fused<decltype(kernels::add_layer_norm)> add_layer_norm;
  Fused<decltype(kernels::group_norm)> group_norm;
  Fused<decltype(kernels::rotate)> rotate;
  Fused<decltype(kernels::gated)> gated;
  Fused<decltype(kernels::attention)> attention;
  Fused<decltype(kernels::linear_cross_entropy)> cross_entropy;
  Fused<decltype(kernels::lora_linears)> linears;
  Fused<decltype(kernels::lora_mlp)> mlp;
  Fused<decltype(kernels::conv)> conv;
  Fused<decltype(kernels::pointwise)> pointwise;
};

// Empty while the fused kernels are switched off.
std::span<const Backend> backends();

// Switches the fused kernels on or off for a scope, on this thread (tests, `lora bench --plain`).
class FusedKernels {
 public:
  explicit FusedKernels(bool on);
  ~FusedKernels();
  FusedKernels(const FusedKernels&) = delete;
  FusedKernels& operator=(const FusedKernels&) = delete;

 private:
  bool before_;
};

// The backend whose `op` computes these arguments; nullptr: none, the plain twin must.
template <class Result, class... Arguments>
const Backend* backend_of(Fused<Result(Arguments...)> Backend::*op,
                          std::type_identity_t<Arguments>... arguments) {
  const auto first = [](const at::Tensor& x, const auto&...) -> const at::Tensor& { return x; };
  for (const Backend& backend : backends()) {
    const auto& fused = backend.*op;
    if (fused.run != nullptr && backend.takes(first(arguments...)) &&
        (fused.suits == nullptr || fused.suits(arguments...))) {
      return &backend;
    }
  }
  return nullptr;
}

// `op` of these arguments by the backend that takes them, else `plain`.
template <class Result, class... Arguments>
Result run(Fused<Result(Arguments...)> Backend::*op,
           std::type_identity_t<Result (*)(Arguments...)> plain,
           std::type_identity_t<Arguments>... arguments) {
  const Backend* backend = backend_of(op, arguments...);
  return backend == nullptr ? plain(arguments...) : (backend->*op).run(arguments...);
}

}  // namespace lora
