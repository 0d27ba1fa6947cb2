// SPDX-License-Identifier: Apache-2.0
// Attention of the families with rotary positions (llama, mistral, qwen, gemma).
#pragma once

#include <string>

#include "models/decoder.h"

namespace lora {

struct SelfAttention {
  std::string path;  // "model.layers.0.self_attn"
  Layer q, k, v, o;
  at::Tensor q_norm, k_norm;  // [d], per head, before the rotation (qwen3); else undefined

  static SelfAttention load(const HfConfig& config, Modules& modules, const std::string& path);
  void for_each_layer(const LayerVisitor& visit);

  // x [B, T, D], already normalised -> heads side by side [B, T, H d], before the output layer.
  at::Tensor forward(const at::Tensor& x, const HfConfig& config, std::size_t layer,
                     const Step& step) const;
};

}  // namespace lora
