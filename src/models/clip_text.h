// SPDX-License-Identifier: Apache-2.0
// The text encoder of CLIP (arXiv 2103.00020) as transformers computes it (CLIPTextModel,
// CLIPTextModelWithProjection).
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "models/modules.h"
#include "models/sd_config.h"
#include "nn/layer.h"

namespace lora {

struct ClipOutput {
  std::vector<at::Tensor> hidden;  // [0] embeddings, [n] after layer n; [B, T, width]
  at::Tensor last;                 // hidden.back() after the final layer norm
  at::Tensor pooled;               // [B, width], or projected [B, projection]
};

class ClipText {
 public:
  ClipText(const ClipConfig& config, Modules& modules);

  // ids [B, T] int64, T <= positions.
  ClipOutput forward(const at::Tensor& ids) const;
  at::Tensor final_norm(const at::Tensor& hidden) const { return final_norm_(hidden); }
  // One layer [B, T, width] with the causal mask (tests).
  at::Tensor layer(std::size_t index, const at::Tensor& x) const;

  // Names as diffusers writes them: "text_model.encoder.layers.0.self_attn.q_proj", ...
  void for_each_layer(const std::string& prefix, const LayerVisitor& visit);
  void set_checkpointing(bool on) { checkpointing_ = on; }
  const ClipConfig& config() const { return config_; }
  std::int64_t parameters() const { return parameters_; }

 private:
  struct Block {
    Norm norm1, norm2;
    Layer q, k, v, out, fc1, fc2;
  };
  at::Tensor run(const Block& block, const at::Tensor& x) const;
  at::Tensor run_again(const Block& block, const at::Tensor& x) const;  // checkpointed
  at::Tensor attend(const Block& block, const at::Tensor& x) const;
  at::Tensor pool(const at::Tensor& ids, const at::Tensor& last) const;

  ClipConfig config_;
  at::Tensor tokens_, positions_;
  std::vector<Block> blocks_;
  Norm final_norm_;
  Layer projection_;  // weight undefined: none
  std::int64_t parameters_ = 0;
  bool checkpointing_ = false;
};

}  // namespace lora
