// SPDX-License-Identifier: Apache-2.0
#include "models/models.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "base/text.h"
#include "models/families.h"

namespace lora {
namespace {

constexpr ModelFamily kModels[] = {
    {"llama", "LLaMA 1 to 3, TinyLlama and others of its shape", load_llama, "q_proj,v_proj"},
    {"mistral", "Mistral 7B", load_llama, "q_proj,v_proj"},
    {"qwen2", "Qwen 1.5, 2 and 2.5", load_llama, "q_proj,v_proj"},
    {"qwen3", "Qwen 3", load_llama, "q_proj,v_proj"},
    {"gemma2", "Gemma 2", load_gemma2, "q_proj,v_proj"},
    {"gpt2", "GPT-2", load_gpt2, "c_attn"},
};

// Tensors that older files carry and that nothing needs: rotary tables, causal masks, the second
// name of a tied head.
bool harmless(const std::string& name, const HfConfig& config) {
  if (name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".attn.masked_bias")) return true;
  if (config.family == "gpt2" && name.ends_with(".attn.bias")) return true;
  return config.tied && (name == "lm_head.weight" || name == "model.embed_tokens.weight");
}

void check_all_used(const Weights& weights, const HfConfig& config, const Path& folder) {
  std::vector<std::string> extra;
  for (const std::string& name : weights.unused()) {
    if (!harmless(name, config)) extra.push_back(name);
  }
  if (extra.empty()) return;
  const std::size_t count = extra.size();
  extra.resize(std::min<std::size_t>(count, 3));
  fail(folder.string(), ": ", count, " tensors have no place in a ", config.family, " model of ",
       config.layers, " layers (", join_words(extra), count > 3 ? ", ..." : "",
       "); weights and config.json do not belong together");
}

}  // namespace

std::span<const ModelFamily> model_families() { return kModels; }

std::vector<std::string> default_targets(const Path& folder) {
  const HfConfig config = read_hf_config(folder / "config.json");
  const ModelFamily& family = row_of(model_families(), "model_type", config.family);
  return split(family.default_targets, ',');
}

std::unique_ptr<CausalLM> load_causal_lm(const Path& folder, const LoadOptions& options) {
  const HfConfig config = read_hf_config(folder / "config.json");
  Weights weights = Weights::open(folder);
  Loader loader(config, source_of(weights), options);
  auto model = row_of(model_families(), "model_type", config.family).load(loader);
  check_all_used(weights, config, folder);
  return model;
}

std::unique_ptr<CausalLM> random_causal_lm(const nlohmann::json& json, const LoadOptions& options,
                                           std::uint64_t seed) {
  const HfConfig config = parse_hf_config(json, "random model");
  Loader loader(config, random_source(options.dtype, seed), options);
  return row_of(model_families(), "model_type", config.family).load(loader);
}

}  // namespace lora
