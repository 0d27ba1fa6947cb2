// SPDX-License-Identifier: Apache-2.0
#include "models/models.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "base/text.h"
#include "models/families.h"

namespace lora {
namespace {

// Of a config.json that parse_hf_config accepted.
const Family& family_of(const HfConfig& config) {
  return row_of(families(), "model_type", config.family);
}

// Tensors that files carry and that nothing needs: rotary tables, the second name of a tied head.
bool harmless(const std::string& name, const HfConfig& config) {
  if (name.ends_with(".rotary_emb.inv_freq")) return true;
  const Family& family = family_of(config);
  if (family.ignores != nullptr && family.ignores(name)) return true;
  return config.tied && (name == "lm_head.weight" || name == "model.embed_tokens.weight");
}

void check_all_used(const WeightFiles& weights, const HfConfig& config, const Path& folder) {
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

std::vector<std::string> default_targets(const Path& folder) {
  return split(family_of(read_hf_config(folder / "config.json")).default_targets, ',');
}

GgufBase read_gguf_base(const Path& folder) {
  const Path path = std::filesystem::is_directory(folder) ? folder / "config.json" : folder;
  const std::string where = path.string();
  if (!std::filesystem::exists(path)) {
    fail_usage(where,
               ": no such file; the GGUF names depend on the base model, so give its folder ",
               "with --base");
  }
  constexpr const char* kRemedy = "is this the base model's config.json?";
  const auto json = parse_json_object<nlohmann::json>(read_file(path), where, kRemedy);
  const std::string type = ConfigKeys(json, where, kRemedy).text("model_type", "");
  const Family* family = find_row(families(), type);
  if (family == nullptr || family->gguf.architecture.empty()) {
    std::vector<std::string> known;
    for (const Family& row : families()) {
      if (!row.gguf.architecture.empty()) known.emplace_back(row.name);
    }
    fail(where, ": model_type '", type, "' has no known GGUF layout (known: ", join_words(known),
         "); export as peft and convert with llama.cpp's own script");
  }
  const HfConfig config = parse_hf_config(json, where);
  return {family->gguf, config.heads, config.kv_heads, config.tied};
}

std::unique_ptr<CausalLM> load_causal_lm(const Path& folder, const LoadOptions& options) {
  const HfConfig config = read_hf_config(folder / "config.json");
  WeightFiles weights(folder);
  Modules modules(weights, options);
  auto model = family_of(config).load(config, modules);
  check_all_used(weights, config, folder);
  return model;
}

std::unique_ptr<CausalLM> random_causal_lm(const nlohmann::json& json, const LoadOptions& options,
                                           std::uint64_t seed) {
  const HfConfig config = parse_hf_config(json, "random model");
  RandomWeights weights(options.dtype, seed);
  Modules modules(weights, options);
  return family_of(config).load(config, modules);
}

}  // namespace lora
