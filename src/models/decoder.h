// SPDX-License-Identifier: Apache-2.0
// What the decoder-only families share: the way from a batch to a loss, to logits, to the next
// token. A family adds its embedding, its block and its final norm.
#pragma once

#include <functional>
#include <vector>

#include "models/hf_config.h"
#include "models/model.h"
#include "nn/ops.h"
#include "nn/rope.h"

namespace lora {

// What the blocks of one pass share.
struct Step {
  RopeTables rope;                 // undefined for learned positions
  at::Tensor documents;            // of the keys, see AttentionMask
  KeyValueCache* cache = nullptr;  // nullptr: no cache
  // Places b * T + t that are needed after the last block: it computes only those, [N, D].
  // Undefined in the other blocks: every place is needed, [B, T, D].
  at::Tensor rows;
};

// q [B, T, H, d], k and v [B, T, K, d] of layer `layer` -> [B, T, H, d]; with a cache, k and v are
// appended to it.
at::Tensor attend(const HfConfig& config, std::size_t layer, const Step& step, const at::Tensor& q,
                  const at::Tensor& k, const at::Tensor& v);

// The rows of x [B, T, D] that step.rows names, [N, D]; x itself where it names none.
at::Tensor needed_rows(const at::Tensor& x, const Step& step);

class Decoder : public CausalLM {
 public:
  Loss loss(const TextTensors& batch) override;
  at::Tensor logits(const TextTensors& batch) override;
  std::vector<at::Tensor> hidden_states(const TextTensors& batch) override;
  at::Tensor next_logits(const TextTensors& batch, KeyValueCache& cache) override;
  void set_checkpointing(bool on) override { checkpointing_ = on; }
  void for_each_layer(const LayerVisitor& visit) override;

  std::int64_t vocabulary() const override { return config_.vocabulary; }
  std::int64_t max_positions() const override { return config_.max_positions; }
  std::int64_t parameters() const override { return parameters_; }
  std::int64_t embedding_parameters() const override { return embedding_parameters_; }
  std::string family() const override { return config_.family; }
  const HfConfig& config() const { return config_; }

 protected:
  // Reads embedding and head: one tensor where the model is tied, whatever name it has.
  Decoder(const HfConfig& config, Modules& modules, const std::string& embedding,
          const std::string& head);

  // Token embeddings [B, T, D], ready for the first block.
  virtual at::Tensor embed(const at::Tensor& ids, const at::Tensor& positions) const = 0;
  virtual at::Tensor block(std::size_t layer, const at::Tensor& x, const Step& step) const = 0;
  virtual at::Tensor final_norm(const at::Tensor& x) const = 0;
  virtual void visit_block(std::size_t layer, const LayerVisitor& visit) = 0;

  HfConfig config_;
  at::Tensor embedding_, head_;  // [V, D]
  std::int64_t parameters_ = 0, embedding_parameters_ = 0;

 private:
  using Watch = std::function<void(const at::Tensor&)>;
  Step prepare(const TextTensors& batch) const;
  // Output of the last block; `watch` sees what enters each block. `rows` as in Step.
  at::Tensor run(const TextTensors& batch, Step step, const at::Tensor& rows,
                 const Watch& watch = nullptr);
  at::Tensor run_block(std::size_t layer, const at::Tensor& x, const Step& step);
  at::Tensor head_logits(const at::Tensor& hidden) const;

  bool checkpointing_ = false;
};

}  // namespace lora
