// SPDX-License-Identifier: Apache-2.0
// Qwen 1.5 to 2.5 (arXiv 2407.10671) and Qwen 3 (arXiv 2505.09388): llama with biases of q, k, v,
// or with norms of q and k per head, and a window from a layer on where that is switched on.
#include <nlohmann/json.hpp>

#include "models/families.h"

namespace lora {
namespace {

void read_qwen_windows(const ConfigKeys& keys, HfConfig& config) {
  if (!keys.flag("use_sliding_window", false)) return;
  const nlohmann::json* given = keys.find("max_window_layers");
  const bool whole = given != nullptr && given->is_number_integer();
  const std::int64_t first = whole ? given->get<std::int64_t>() : 28;
  read_windows(
      keys, 4096, [first](std::int64_t layer) { return layer >= first; }, config);
}

}  // namespace

void read_qwen2(const ConfigKeys& keys, HfConfig& config) {
  read_rotary(keys, {.kv_heads = 32, .max_positions = 32768}, config);
  read_qwen_windows(keys, config);
  config.qkv_bias = true;
  read_activation(keys, "hidden_act", "silu", config);
}

void read_qwen3(const ConfigKeys& keys, HfConfig& config) {
  read_rotary(keys, {.kv_heads = 32, .head_dim = 128, .max_positions = 32768}, config);
  read_qwen_windows(keys, config);
  read_attention_bias(keys, config);
  config.head_norms = true;
  read_activation(keys, "hidden_act", "silu", config);
}

}  // namespace lora
