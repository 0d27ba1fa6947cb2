// SPDX-License-Identifier: Apache-2.0
// What the tests on tests/golden/llm share: families found, batches, errors, the parity line.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/adapters/adapter_file.h"
#include "io/adapters/match.h"
#include "io/aten.h"
#include "io/tensors.h"
#include "models/model.h"
#include "nn/attach.h"
#include "tests/golden_set.h"

namespace lora::test {

inline std::unique_ptr<CausalLM> load_float(const std::filesystem::path& folder) {
  return load_causal_lm(folder, {.dtype = at::kFloat});
}

// Batch from `input_ids`, `attention_mask` or `document_ids`, and, where they exist, `labels` and
// `position_ids`; `prefix` in front of every name.
inline TextTensors batch_of(const TensorMap& tensors, const std::string& prefix = "") {
  const auto find = [&](const char* name) {
    const auto at = tensors.find(prefix + name);
    return at == tensors.end() ? at::Tensor() : at->second;
  };
  TextTensors batch{.ids = find("input_ids"), .labels = find("labels")};
  batch.positions = find("position_ids");
  if (!batch.positions.defined()) {
    batch.positions = at::arange(batch.ids.size(1), at::kLong).expand_as(batch.ids).contiguous();
  }
  batch.documents = find("document_ids");
  if (!batch.documents.defined()) batch.documents = find("attention_mask");
  return batch;
}

// max|a - b| where `mask` [B, T] is 1 (everywhere if undefined).
inline double absolute(const at::Tensor& a, const at::Tensor& b, const at::Tensor& mask = {}) {
  at::Tensor difference = (a.detach().to(at::kDouble) - b.to(at::kDouble)).abs();
  if (mask.defined()) difference = difference * mask.unsqueeze(-1);
  return difference.max().item<double>();
}

// max|a - b| / max|b|
inline double relative(const at::Tensor& a, const at::Tensor& b, const at::Tensor& mask = {}) {
  return absolute(a, b, mask) / absolute(b, at::zeros_like(b), mask);
}

// Prints "parity: <what> <family> <measured> <tolerance>" and expects measured <= tolerance.
inline void expect_parity(const std::string& what, const std::string& family, double measured,
                          double tolerance) {
  std::printf("parity: %s %s %.2e %.0e\n", what.c_str(), family.c_str(), measured, tolerance);
  EXPECT_LE(measured, tolerance) << what << " of " << family;
}

inline std::vector<NamedLayer> layers_of(Network& model) {
  std::vector<NamedLayer> layers;
  model.for_each_layer([&](const std::string& name, Layer& layer) {
    layers.push_back({name, &layer});
  });
  return layers;
}

// Puts the adapter of a PEFT folder into the model.
inline void attach_peft(Network& model, const std::filesystem::path& folder) {
  const AdapterFile file = read_adapter(folder);
  const auto layers = layers_of(model);
  const auto shapes = shapes_of(layers);
  const AdapterMatch match = match_adapter(file, shapes);
  require_complete(match, file, shapes);
  attach(file, match, layers);
}

}  // namespace lora::test
