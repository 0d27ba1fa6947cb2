// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/peft_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/regex.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;  // patterns are tried in file order

using Reader = JsonReader<Json>;
constexpr const char* kMend = "mend the adapter's configuration";

PeftPattern pattern(const Reader& in, const std::string& name) {
  PeftPattern result;
  const Reader entries = in.inside(name);
  for (const auto& [key, entry] : entries.json().items()) {
    result.emplace_back(key, entries.positive(key));
    if (const auto mistake = regex_mistake(key)) {
      fail(in.where(), ": '", name, "': '", key, "' is not a regular expression (found ", *mistake,
           "); ", kMend);
    }
  }
  return result;
}

// A text; nothing where it is absent or no text, as in files that write objects there.
std::string text_of(const Reader& in, const char* name) {
  const Json* value = in.find(name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

struct Refused {
  const char* field;
  const char* why;
};
// Fields that make of the adapter more than scale * B A. (Sources: PEFT's LoraConfig.)
constexpr Refused kRefused[] = {
    {"alora_invocation_tokens", "an activated LoRA acts only behind these tokens"},
    {"layer_replication", "it belongs to a base model whose layers are repeated"},
    {"arrow_config", "it routes between several adapters"},
    {"target_parameters", "it adapts parameters that are no layers"},
    {"use_qalora", "it takes its input in groups"},
    {"lora_bias", "it adds a bias"}};

// Is the field there, and neither null nor false nor empty?
bool is_set(const Reader& in, const char* field) {
  const Json* value = in.find(field);
  if (value == nullptr || value->is_null()) return false;
  return value->is_boolean() ? value->get<bool>() : !value->is_structured() || !value->empty();
}

void check_fields(const Reader& in) {
  for (const Refused& refused : kRefused) {
    if (!is_set(in, refused.field)) continue;
    fail(in.where(), ": ", refused.field, " is set: ", refused.why, ", which this program does ",
         "not compute; use the adapter with PEFT");
  }
}

void check_kind(const Reader& in) {
  const std::string& where = in.where();
  const std::string type = text_of(in, "peft_type");
  if (!type.empty() && type != "LORA") {
    fail(where, ": peft_type is ", type, ", expected LORA; only LoRA adapters can be used here");
  }
  const std::string init = text_of(in, "init_lora_weights");
  for (const char* changing : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (init.starts_with(changing)) {
      fail(where, ": init_lora_weights is '", init,
           "': this adapter belongs to a base model that PEFT changes while loading; save it with "
           "PEFT's path_initial_model_for_weight_conversion first");
    }
  }
}

void read_targets(const Reader& in, PeftConfig& config) {
  for (const char* field : {"layers_to_transform", "layers_pattern", "exclude_modules"}) {
    config.targets_are_narrowed = config.targets_are_narrowed || is_set(in, field);
  }
  const Json* targets = in.find("target_modules");
  if (targets != nullptr && targets->is_string()) {
    config.target_modules = {targets->get<std::string>()};
    config.targets_are_regex = config.target_modules[0] != "all-linear";
    return;
  }
  config.target_modules = in.texts("target_modules", std::vector<std::string>{});
}

std::optional<double> optional_positive(const Reader& in, const char* name) {
  if (!in.has(name)) return {};
  return in.positive(name);
}

double dropout_of(const Reader& in) {
  const double dropout = in.number("lora_dropout", 0.0);
  if (!(dropout >= 0 && dropout < 1)) in.wrong("lora_dropout", dropout, "at least 0 and below 1");
  return dropout;
}

PeftConfig from_json(const Json& json, const std::string& where) {
  const Reader in(json, where, kMend);
  check_kind(in);
  check_fields(in);
  PeftConfig config;
  config.r = optional_positive(in, "r");
  config.alpha = optional_positive(in, "lora_alpha");
  config.rank_pattern = pattern(in, "rank_pattern");
  config.alpha_pattern = pattern(in, "alpha_pattern");
  config.use_rslora = in.flag("use_rslora", false);
  config.use_dora = in.flag("use_dora", false);
  config.fan_in_fan_out = in.flag("fan_in_fan_out", false);
  config.dropout = dropout_of(in);
  config.base_model = text_of(in, "base_model_name_or_path");
  config.task_type = text_of(in, "task_type");
  read_targets(in, config);
  return config;
}

// Whole numbers as PEFT writes them, without a decimal point.
nlohmann::json plain_number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<std::int64_t>(value);
  return value;
}

nlohmann::json pattern_json(const PeftPattern& pattern) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [key, value] : pattern) json[key] = plain_number(value);
  return json;
}

nlohmann::json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::json() : nlohmann::json(text);
}

}  // namespace

PeftConfig parse_peft_config(const std::string& text, const std::string& where) {
  return from_json(parse_json_object<Json>(text, where, kMend), where);
}

PeftConfig read_peft_config(const Path& path) {
  return parse_peft_config(read_file(path), path.string());
}

std::optional<PeftConfig> parse_component_config(const std::string& text,
                                                 const std::string& component,
                                                 const std::string& where) {
  Json part = Json::object();
  const std::string prefix = component + ".";
  const Json whole = parse_json_object<Json>(text, where, kMend);
  for (const auto& [key, value] : whole.items()) {
    if (key.starts_with(prefix)) part[key.substr(prefix.size())] = value;
  }
  if (part.empty()) return {};
  return from_json(part, where);
}

std::optional<double> match_pattern(const PeftPattern& pattern, const std::string& module,
                                    const std::string& where) {
  for (const auto& [key, value] : pattern) {
    const Regex regex("(.*\\.)?(" + key + ")", where, kMend);
    if (regex.matches(module)) return value;
  }
  return {};
}

std::optional<double> rank_of(const PeftConfig& config, const std::string& module,
                              const std::string& where) {
  const auto own = match_pattern(config.rank_pattern, module, where);
  return own ? own : config.r;
}

std::optional<double> alpha_of(const PeftConfig& config, const std::string& module,
                               const std::string& where) {
  const auto own = match_pattern(config.alpha_pattern, module, where);
  return own ? own : config.alpha;
}

double lora_scale(double alpha, std::int64_t rank, bool use_rslora) {
  const auto r = static_cast<double>(rank);
  return alpha / (use_rslora ? std::sqrt(r) : r);
}

std::string format_peft_config(const PeftConfig& config) {
  nlohmann::json json = {{"base_model_name_or_path", text_or_null(config.base_model)},
                         {"inference_mode", true},
                         {"lora_alpha", plain_number(config.alpha.value_or(0))},
                         {"peft_type", "LORA"},
                         {"r", plain_number(config.r.value_or(0))},
                         {"target_modules", config.target_modules},
                         {"task_type", text_or_null(config.task_type)}};
  if (config.targets_are_regex) json["target_modules"] = config.target_modules.at(0);
  if (!config.rank_pattern.empty()) json["rank_pattern"] = pattern_json(config.rank_pattern);
  if (!config.alpha_pattern.empty()) json["alpha_pattern"] = pattern_json(config.alpha_pattern);
  if (config.dropout != 0) json["lora_dropout"] = config.dropout;
  if (config.fan_in_fan_out) json["fan_in_fan_out"] = true;
  if (config.use_dora) json["use_dora"] = true;
  if (config.use_rslora) json["use_rslora"] = true;
  return json.dump(2, ' ', true);
}

}  // namespace lora
