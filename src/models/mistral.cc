// SPDX-License-Identifier: Apache-2.0
// Mistral 7B (arXiv 2310.06825): llama with a window in every layer.
#include "models/families.h"

namespace lora {

void read_mistral(const ConfigKeys& keys, HfConfig& config) {
  read_rotary(keys, {.kv_heads = 8, .max_positions = 131072}, config);
  if (!is_null(keys, "sliding_window")) {
    config.windows.assign(config.windows.size(), keys.count("sliding_window", 4096));
  }
  read_activation(keys, "hidden_act", "silu", config);
}

}  // namespace lora
