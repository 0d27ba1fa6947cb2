// SPDX-License-Identifier: Apache-2.0
// What a model is to the trainer and to the commands.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "data/batch.h"
#include "models/modules.h"
#include "nn/layer.h"

namespace lora {

// A sum of losses and how many targets it covers, so that accumulation over batches is exact:
// gradients are divided once, by the total count.
struct Loss {
  at::Tensor sum;    // float32 scalar with a graph
  double count = 0;  // targets (text) or samples (images)
};

// Everything that carries layers by name (Hugging Face module paths, without "base_model.model.").
class Network {
 public:
  virtual ~Network() = default;
  virtual void for_each_layer(const LayerVisitor& visit) = 0;
};

// Keys and values of earlier positions, one pair a layer: [B, capacity, K, d], of which the first
// `length` positions are filled.
struct KeyValueCache {
  std::vector<std::pair<at::Tensor, at::Tensor>> layers;
  at::Tensor documents;  // [B, length]; undefined = no padding
  std::int64_t length = 0;
};

// A TextBatch as tensors on the model's device, int64.
struct TextTensors {
  at::Tensor ids, labels, positions;  // [B, T]
  at::Tensor documents;               // [B, T]; undefined: causal attention alone is right
  // Places b * T + t whose next label is a target, and those targets [N]. Undefined: found from
  // `labels` when the loss needs them (on a GPU that waits for the device).
  at::Tensor rows, targets;
};
TextTensors to_tensors(const TextBatch& batch, at::Device device);

class CausalLM : public Network {
 public:
  // Sum of the cross-entropies of all targets of the batch.
  virtual Loss loss(const TextTensors& batch) = 0;
  // Logits [B, T, V] in float32 (small inputs, tests, evaluation).
  virtual at::Tensor logits(const TextTensors& batch) = 0;
  // Hidden states: embeddings (after scaling / positions), after each layer, last one after the
  // final norm. For tests.
  virtual std::vector<at::Tensor> hidden_states(const TextTensors& batch) = 0;
  // Logits of the last position of each row [B, V], appending to the cache. Rows may be padded on
  // the left (documents 0 there).
  virtual at::Tensor next_logits(const TextTensors& batch, KeyValueCache& cache) = 0;

  // Gradient checkpointing by layer: recompute each layer's inside in the backward pass.
  virtual void set_checkpointing(bool on) = 0;

  virtual std::int64_t vocabulary() const = 0;
  virtual std::int64_t max_positions() const = 0;
  virtual std::int64_t parameters() const = 0;
  virtual std::int64_t embedding_parameters() const = 0;
  virtual std::string family() const = 0;  // "llama", "qwen2", ...
};

// Loads a Hugging Face folder. Throws Error; an unknown architecture is named with the known ones.
std::unique_ptr<CausalLM> load_causal_lm(const Path& folder, const LoadOptions& options);

}  // namespace lora
