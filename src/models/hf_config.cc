// SPDX-License-Identifier: Apache-2.0
#include "models/hf_config.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>

#include "base/json_reader.h"
#include "base/table.h"

namespace lora {
namespace {

using Json = nlohmann::json;

using Keys = JsonReader<Json>;
constexpr const char* kRemedy = "is this the model's own config.json?";

// What transformers assumes where a key is absent.
struct FamilyDefaults {
  std::string_view name;
  std::int64_t kv_heads;  // 0: as many as heads
  std::int64_t head_dim;  // 0: hidden / heads
  std::int64_t max_positions;
  std::int64_t window;
  bool tied;
};

constexpr FamilyDefaults kFamilies[] = {
    {"llama", 0, 0, 2048, 0, false},      {"mistral", 8, 0, 131072, 4096, false},
    {"qwen2", 32, 0, 32768, 4096, false}, {"qwen3", 32, 128, 32768, 4096, false},
    {"gemma2", 4, 256, 8192, 4096, true}, {"gpt2", 0, 0, 1024, 0, true},
};

struct Architecture {
  std::string_view name;
  std::string_view family;
};

constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", "llama"}, {"MistralForCausalLM", "mistral"}, {"Qwen2ForCausalLM", "qwen2"},
    {"Qwen3ForCausalLM", "qwen3"}, {"Gemma2ForCausalLM", "gemma2"},   {"GPT2LMHeadModel", "gpt2"},
};

// The family, from model_type or else from the class name in "architectures".
std::string family_of(const Keys& keys) {
  if (keys.has("model_type")) return keys.text("model_type", "");
  const Json* classes = keys.find("architectures");
  if (classes == nullptr || !classes->is_array() || classes->empty() ||
      !classes->front().is_string()) {
    fail(keys.where(),
         ": neither 'model_type' nor 'architectures' says what this model is; "
         "is this the config.json of a language model?");
  }
  const auto name = classes->front().get<std::string>();
  const auto* row = find_row(std::span<const Architecture>(kArchitectures), name);
  return row != nullptr ? std::string(row->family) : name;
}

const FamilyDefaults& defaults_of(const Keys& keys, const std::string& family) {
  const std::span<const FamilyDefaults> table = kFamilies;
  if (const FamilyDefaults* row = find_row(table, family)) return *row;
  fail(keys.where(), ": model_type '", family,
       "': unknown architecture (known: ", join_words(names_of(table)), ")",
       did_you_mean(family, names_of(table)));
}

void refuse_what_is_not_supported(const Keys& keys) {
  if (keys.has("quantization_config")) {
    fail(keys.where(), ": the weights are quantised (",
         keys.inside("quantization_config").text("quant_method", "unknown"),
         "), expected float32, bfloat16 or float16; use the original model");
  }
  if (keys.flag("add_cross_attention", false)) {
    fail(keys.where(), ": 'add_cross_attention' is true, expected false: not a plain decoder");
  }
}

Rope read_rope(const Keys& keys, std::int64_t max_positions) {
  const Json* nested = keys.find("rope_scaling");
  const bool old_name = nested != nullptr && !nested->empty();
  const char* name = old_name ? "rope_scaling" : "rope_parameters";
  const Keys inner = keys.inside(name);
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

// Which layers slide when config.json has no layer_types: qwen from a layer on, gemma2 every other.
bool slides_by_default(const Keys& keys, const std::string& family, std::int64_t layer) {
  if (family == "gemma2") return layer % 2 == 0;
  if (family == "mistral") return true;
  const Json* first = keys.find("max_window_layers");
  return layer >=
         (first != nullptr && first->is_number_integer() ? first->get<std::int64_t>() : 28);
}

std::vector<std::int64_t> read_windows(const Keys& keys, const HfConfig& config,
                                       const FamilyDefaults& defaults, const Json& json) {
  std::vector<std::int64_t> windows(static_cast<std::size_t>(config.layers), 0);
  const bool qwen = config.family == "qwen2" || config.family == "qwen3";
  if (defaults.window == 0 || (qwen && !keys.flag("use_sliding_window", false))) return windows;
  if (json.contains("sliding_window") && json["sliding_window"].is_null()) return windows;
  const std::int64_t window = keys.count("sliding_window", defaults.window);
  const Json* types = config.family == "mistral" ? nullptr : keys.find("layer_types");
  if (types != nullptr && (!types->is_array() || types->size() != windows.size())) {
    keys.wrong("layer_types", *types, join("a list of ", windows.size(), " texts"));
  }
  for (std::size_t layer = 0; layer < windows.size(); ++layer) {
    const bool slides =
        types != nullptr ? (*types)[layer] == "sliding_attention"
                         : slides_by_default(keys, config.family, static_cast<std::int64_t>(layer));
    if (slides) windows[layer] = window;
  }
  return windows;
}

void read_stop_ids(const Keys& keys, HfConfig& config) {
  const Json* value = keys.find("eos_token_id");
  if (value == nullptr) return;
  for (const Json& id : value->is_array() ? *value : Json::array({*value})) {
    if (!id.is_number_integer()) keys.wrong("eos_token_id", *value, "a whole number or a list");
    config.stop_ids.push_back(id);
  }
}

void read_heads(const Keys& keys, HfConfig& config, const FamilyDefaults& defaults) {
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

void read_gpt2(const Keys& keys, HfConfig& config, const FamilyDefaults& defaults) {
  config.hidden = keys.count("n_embd");
  config.layers = keys.count("n_layer");
  config.heads = config.kv_heads = keys.count("n_head");
  config.max_positions = keys.count("n_positions", keys.count("n_ctx", defaults.max_positions));
  config.intermediate = keys.count("n_inner", 4 * config.hidden);
  config.norm_eps = keys.positive("layer_norm_epsilon", 1e-5);
  config.activation = activation_from_name(keys.text("activation_function", "gelu_new"),
                                           config.where + ": 'activation_function'");
  if (config.hidden % config.heads != 0) {
    fail(config.where, ": 'n_embd' is not a multiple of 'n_head' (found ", config.hidden, " and ",
         config.heads, "); damaged config.json?");
  }
  config.head_dim = config.hidden / config.heads;
  config.windows.assign(static_cast<std::size_t>(config.layers), 0);
  const double scale = keys.flag("scale_attn_weights", true)
                           ? 1 / std::sqrt(static_cast<double>(config.head_dim))
                           : 1;
  const bool by_layer = keys.flag("scale_attn_by_inverse_layer_idx", false);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    config.attention_scales.push_back(by_layer ? scale / static_cast<double>(layer + 1) : scale);
  }
}

void read_gemma2(const Keys& keys, HfConfig& config) {
  // Files carry hidden_act too, which transformers does not read.
  config.activation = activation_from_name(keys.text("hidden_activation", "gelu_pytorch_tanh"),
                                           config.where + ": 'hidden_activation'");
  const double scalar = keys.positive("query_pre_attn_scalar", 256.0);
  config.attention_scales.assign(config.attention_scales.size(), 1 / std::sqrt(scalar));
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden));
}

// A cap that is null is off; one that is absent has the default.
double read_softcap(const Json& json, const Keys& keys, const char* key, double otherwise) {
  return json.contains(key) && json[key].is_null() ? 0 : keys.positive(key, otherwise);
}

void read_rotary_family(const Keys& keys, const Json& json, HfConfig& config,
                        const FamilyDefaults& defaults) {
  config.hidden = keys.count("hidden_size");
  config.layers = keys.count("num_hidden_layers");
  config.heads = keys.count("num_attention_heads");
  config.intermediate = keys.count("intermediate_size");
  config.max_positions = keys.count("max_position_embeddings", defaults.max_positions);
  config.norm_eps = keys.positive("rms_norm_eps", 1e-6);
  read_heads(keys, config, defaults);
  config.rope = read_rope(keys, config.max_positions);
  config.windows = read_windows(keys, config, defaults, json);
  config.attention_scales.assign(static_cast<std::size_t>(config.layers),
                                 1 / std::sqrt(static_cast<double>(config.head_dim)));
  const bool has_flag = config.family != "qwen2" && config.family != "mistral";
  const bool bias = has_flag && keys.flag("attention_bias", false);
  config.qkv_bias = bias || config.family == "qwen2";
  config.output_bias = bias;
  config.mlp_bias = config.family == "llama" && keys.flag("mlp_bias", false);
  config.head_norms = config.family == "qwen3";
  if (config.family == "gemma2") {
    read_gemma2(keys, config);
    config.attention_softcap = read_softcap(json, keys, "attn_logit_softcapping", 50);
    config.final_softcap = read_softcap(json, keys, "final_logit_softcapping", 30);
  } else {
    config.activation =
        activation_from_name(keys.text("hidden_act", "silu"), config.where + ": 'hidden_act'");
  }
}

}  // namespace

HfConfig parse_hf_config(const Json& json, const std::string& where) {
  const Keys keys(json, where, kRemedy);
  HfConfig config{.where = where, .family = family_of(keys)};
  const FamilyDefaults& defaults = defaults_of(keys, config.family);
  refuse_what_is_not_supported(keys);
  config.vocabulary = keys.count("vocab_size");
  config.tied = keys.flag("tie_word_embeddings", defaults.tied);
  read_stop_ids(keys, config);
  if (config.family == "gpt2") {
    read_gpt2(keys, config, defaults);
  } else {
    read_rotary_family(keys, json, config, defaults);
  }
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
