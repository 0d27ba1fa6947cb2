// SPDX-License-Identifier: Apache-2.0
// config.json of a Hugging Face language model, in the spellings of transformers 4 and 5, with
// the defaults that transformers 5.12 gives to absent keys.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/json_reader.h"
#include "nn/ops.h"
#include "nn/rope.h"

namespace lora {

struct HfConfig {
  std::string where;   // file, for messages
  std::string family;  // model_type
  std::int64_t vocabulary = 0, hidden = 0, intermediate = 0;
  std::int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  std::int64_t max_positions = 0;
  double norm_eps = 1e-6;
  bool tied = false;
  bool qkv_bias = false, output_bias = false, mlp_bias = false, head_norms = false;
  Activation activation = Activation::silu;
  bool learned_positions = false;  // then without rope, and no longer than max_positions
  Rope rope;
  std::vector<std::int64_t> windows;                // per layer, 0 = full attention
  std::vector<double> attention_scales;             // per layer
  double attention_softcap = 0, final_softcap = 0;  // 0 = none
  double embedding_scale = 1;
  std::vector<std::int64_t> stop_ids;  // eos_token_id, a number or a list
};

// Throws Error: a missing key, a wrong type, a number out of range, a rope type that is not known.
HfConfig read_hf_config(const Path& file);
HfConfig parse_hf_config(const nlohmann::json& json, const std::string& where);

// What families read of their part of config.json. Throw Error as parse_hf_config.
using ConfigKeys = JsonReader<nlohmann::json>;

// What transformers assumes where a key is absent.
struct RotaryDefaults {
  std::int64_t kv_heads = 0;  // 0: as many as heads
  std::int64_t head_dim = 0;  // 0: hidden / heads
  std::int64_t max_positions = 0;
};
// Stated as null, which some keys give a meaning of its own.
bool is_null(const ConfigKeys& keys, std::string_view key);
// Throws where there are more than any model has.
std::int64_t layers_of(const ConfigKeys& keys, std::string_view key);
// Sizes, norm, heads, rope; full attention in every layer, scaled by 1 / sqrt(head_dim).
void read_rotary(const ConfigKeys& keys, const RotaryDefaults& defaults, HfConfig& config);
// sliding_window (null: none) in the layers that layer_types names, else where the layer `slides`.
void read_windows(const ConfigKeys& keys, std::int64_t usual,
                  const std::function<bool(std::int64_t layer)>& slides, HfConfig& config);
void read_attention_bias(const ConfigKeys& keys, HfConfig& config);  // of q, k, v and of the output
void read_activation(const ConfigKeys& keys, const char* key, const char* usual, HfConfig& config);

}  // namespace lora
