// SPDX-License-Identifier: Apache-2.0
// Does an adapter fit a model? Compared both ways before anything is copied.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/adapters/adapter_file.h"

namespace lora {

// One layer of a model that can carry an adapter. `expected`: the run's targets name it, so the
// adapter must bring it (false where any coverage will do: generation, evaluation).
struct LayerShape {
  std::string name;
  std::vector<std::int64_t> shape;  // of the weight, [out, in] or [out, in, kh, kw]
  bool expected = false;
};

struct AdapterMatch {
  struct Pair {
    std::size_t module;  // index into AdapterFile::modules
    std::size_t layer;   // index into the layers
  };
  std::vector<Pair> matched;
  std::vector<Pair> misshapen;             // name found, shape differs
  std::vector<std::string> unexpected;     // modules of the file without a place in the model
  std::vector<std::string> missing;        // expected layers that the file has no module for
  std::vector<std::string> other_tensors;  // AdapterFile::others: not LoRA

  bool complete() const {
    return !matched.empty() && misshapen.empty() && unexpected.empty() && missing.empty();
  }
};

AdapterMatch match_adapter(const AdapterFile& adapter, const std::vector<LayerShape>& layers);

// Throws Error naming both where the adapter is for another kind of model: text or images, or
// another Stable Diffusion (cross attention 768 / 1024 / 2048 wide).
void check_family(const AdapterFile& adapter, const std::vector<LayerShape>& layers);

// Throws Error unless every module found a place and every expected layer a module. Adapters of
// another family of models are named first. Other tensors (embeddings, score.weight) are an error
// too unless `ignore_others`.
void require_complete(const AdapterMatch& match, const AdapterFile& adapter,
                      const std::vector<LayerShape>& layers, bool ignore_others = false);

// "64 of 64 modules (128 tensors), rank 8, scale 2"
std::string summary(const AdapterMatch& match, const AdapterFile& adapter);

// True where the two shapes are the same but for kernel sizes of 1 ([out, in] and [out, in, 1, 1]).
bool same_weight_shape(at::IntArrayRef a, at::IntArrayRef b);

}  // namespace lora
