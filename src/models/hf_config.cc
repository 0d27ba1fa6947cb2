// SPDX-License-Identifier: Apache-2.0
#include "models/hf_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json_reader.h"
#include "base/table.h"
#include "models/families.h"

namespace lora {
namespace {

using Json = nlohmann::json;
constexpr const char* kRemedy = "is this the model's own config.json?";

// The family, from model_type or else from the class name in "architectures".
const Family& family_of(const ConfigKeys& keys) {
  std::string name;
  if (keys.has("model_type")) {
    name = keys.text("model_type", "");
  } else {
    const Json* classes = keys.find("architectures");
    if (classes == nullptr || !classes->is_array() || classes->empty() ||
        !classes->front().is_string()) {
      fail(keys.where(),
           ": neither 'model_type' nor 'architectures' says what this model is; "
           "is this the config.json of a language model?");
    }
    name = classes->front().get<std::string>();
    for (const Family& family : families()) {
      if (family.architecture == name) return family;
    }
  }
  if (const Family* family = find_row(families(), name)) return *family;
  const std::vector<std::string> known = names_of(families());
  fail(keys.where(), ": model_type '", name, "': unknown architecture (known: ", join_words(known),
       ")", did_you_mean(name, known));
}

void refuse_what_is_not_supported(const ConfigKeys& keys) {
  if (keys.has("quantization_config")) {
    fail(keys.where(), ": the weights are quantised (",
         keys.inside("quantization_config").text("quant_method", "unknown"),
         "), expected float32, bfloat16 or float16; use the original model");
  }
  if (keys.flag("add_cross_attention", false)) {
    fail(keys.where(), ": 'add_cross_attention' is true, expected false: not a plain decoder");
  }
}

Rope read_rope(const ConfigKeys& keys, std::int64_t max_positions) {
  const Json* nested = keys.find("rope_scaling");
  const bool old_name = nested != nullptr && !nested->empty();
  const char* name = old_name ? "rope_scaling" : "rope_parameters";
  const ConfigKeys inner = keys.inside(name);
  for (const auto& [key, value] : inner.json().items()) {
    if (value.is_object()) keys.wrong(name, inner.json(), "one setting for all layers");
  }
  Rope rope;
  rope.type = inner.text("rope_type", inner.text("type", "default"));
  check_rope(rope, keys.where());
  rope.theta = inner.positive("rope_theta", keys.positive("rope_theta", 10000.0));
  const double partial =
      inner.positive("partial_rotary_factor", keys.positive("partial_rotary_factor", 1.0));
  if (partial != 1) {
    fail(keys.where(), ": 'partial_rotary_factor': found ", partial, ", expected 1");
  }
  if (rope.type == "default") return rope;
  const std::int64_t original = inner.count("original_max_position_embeddings", max_positions);
  rope.original_positions = keys.count("original_max_position_embeddings", original);
  const bool ratio = rope.type == "yarn" && !inner.has("factor");
  rope.factor =
      ratio ? static_cast<double>(max_positions) / static_cast<double>(rope.original_positions)
            : inner.positive("factor");
  if (rope.type == "llama3") {
    rope.low_frequency = inner.positive("low_freq_factor");
    rope.high_frequency = inner.positive("high_freq_factor");
  }
  rope.beta_fast = inner.positive("beta_fast", 32.0);
  rope.beta_slow = inner.positive("beta_slow", 1.0);
  if (inner.has("attention_factor")) rope.attention_factor = inner.positive("attention_factor");
  if (inner.has("mscale")) rope.mscale = inner.positive("mscale");
  if (inner.has("mscale_all_dim")) rope.mscale_all = inner.positive("mscale_all_dim");
  rope.truncate = inner.flag("truncate", true);
  return rope;
}

void read_stop_ids(const ConfigKeys& keys, HfConfig& config) {
  const Json* value = keys.find("eos_token_id");
  if (value == nullptr) return;
  for (const Json& id : value->is_array() ? *value : Json::array({*value})) {
    if (!id.is_number_integer()) keys.wrong("eos_token_id", *value, "a whole number or a list");
    config.stop_ids.push_back(id);
  }
}

void read_heads(const ConfigKeys& keys, HfConfig& config, const RotaryDefaults& defaults) {
  config.kv_heads =
      keys.count("num_key_value_heads", defaults.kv_heads != 0 ? defaults.kv_heads : config.heads);
  if (config.heads % config.kv_heads != 0) {
    fail(config.where, ": 'num_attention_heads' is not a multiple of 'num_key_value_heads' (found ",
         config.heads, " and ", config.kv_heads, "); damaged config.json?");
  }
  if (keys.has("head_dim") || defaults.head_dim != 0) {
    config.head_dim = keys.count("head_dim", defaults.head_dim);
  } else if (config.hidden % config.heads == 0) {
    config.head_dim = config.hidden / config.heads;
  } else {
    fail(config.where, ": 'hidden_size' is not a multiple of 'num_attention_heads' (found ",
         config.hidden, " and ", config.heads, "); damaged config.json?");
  }
  if (config.head_dim % 2 != 0) {
    fail(config.where, ": head size: found ", config.head_dim,
         ", expected an even number; damaged config.json?");
  }
}

}  // namespace

bool is_null(const ConfigKeys& keys, std::string_view key) {
  const auto at = keys.json().find(key);
  return at != keys.json().end() && at->is_null();
}

std::int64_t layers_of(const ConfigKeys& keys, std::string_view key) {
  constexpr std::int64_t kMost = 10'000;
  const std::int64_t layers = keys.count(key);
  if (layers > kMost) keys.wrong(key, layers, join("at most ", kMost));
  return layers;
}

void read_rotary(const ConfigKeys& keys, const RotaryDefaults& defaults, HfConfig& config) {
  config.hidden = keys.count("hidden_size");
  config.layers = layers_of(keys, "num_hidden_layers");
  config.heads = keys.count("num_attention_heads");
  config.intermediate = keys.count("intermediate_size");
  config.max_positions = keys.count("max_position_embeddings", defaults.max_positions);
  config.norm_eps = keys.positive("rms_norm_eps", 1e-6);
  read_heads(keys, config, defaults);
  config.rope = read_rope(keys, config.max_positions);
  config.windows.assign(static_cast<std::size_t>(config.layers), 0);
  config.attention_scales.assign(config.windows.size(),
                                 1 / std::sqrt(static_cast<double>(config.head_dim)));
}

void read_windows(const ConfigKeys& keys, std::int64_t usual,
                  const std::function<bool(std::int64_t layer)>& slides, HfConfig& config) {
  if (is_null(keys, "sliding_window")) return;
  const std::int64_t window = keys.count("sliding_window", usual);
  const Json* types = keys.find("layer_types");
  if (types != nullptr && (!types->is_array() || types->size() != config.windows.size())) {
    keys.wrong("layer_types", *types, join("a list of ", config.windows.size(), " texts"));
  }
  for (std::size_t layer = 0; layer < config.windows.size(); ++layer) {
    const bool sliding = types != nullptr ? (*types)[layer] == "sliding_attention"
                                          : slides(static_cast<std::int64_t>(layer));
    if (sliding) config.windows[layer] = window;
  }
}

void read_attention_bias(const ConfigKeys& keys, HfConfig& config) {
  config.qkv_bias = config.output_bias = keys.flag("attention_bias", false);
}

void read_activation(const ConfigKeys& keys, const char* key, const char* usual, HfConfig& config) {
  config.activation =
      activation_from_name(keys.text(key, usual), join(keys.where(), ": '", key, "'"));
}

HfConfig parse_hf_config(const Json& json, const std::string& where) {
  const ConfigKeys keys(json, where, kRemedy);
  const Family& family = family_of(keys);
  HfConfig config{.where = where, .family = std::string(family.name)};
  refuse_what_is_not_supported(keys);
  config.vocabulary = keys.count("vocab_size");
  config.tied = keys.flag("tie_word_embeddings", family.tied);
  read_stop_ids(keys, config);
  family.read(keys, config);
  return config;
}

HfConfig read_hf_config(const Path& file) {
  if (!std::filesystem::exists(file)) {
    fail(file.string(), ": no such file; base_model must be a Hugging Face model folder");
  }
  const std::string where = file.string();
  return parse_hf_config(parse_json_object<Json>(read_file(file), where, kRemedy), where);
}

}  // namespace lora
