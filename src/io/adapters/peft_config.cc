// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/peft_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/regex.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;  // patterns are tried in file order

constexpr std::string_view kMend = "mend the adapter's configuration";

[[noreturn]] void fail_field(const std::string& where, const std::string& field, const Json& value,
                             const char* expected) {
  fail(where, ": '", field, "': found ", value.dump(), ", expected ", expected, "; ", kMend);
}

const Json* field(const Json& json, const std::string& name) {
  const auto at = json.find(name);
  return at == json.end() || at->is_null() ? nullptr : &*at;
}

std::optional<double> number(const Json& json, const std::string& name, const std::string& where) {
  const Json* value = field(json, name);
  if (value == nullptr) return {};
  if (!value->is_number()) fail_field(where, name, *value, "a number");
  return value->get<double>();
}

bool flag(const Json& json, const std::string& name, const std::string& where) {
  const Json* value = field(json, name);
  if (value == nullptr) return false;
  if (!value->is_boolean()) fail_field(where, name, *value, "true or false");
  return value->get<bool>();
}

std::string text_of(const Json& json, const std::string& name) {
  const Json* value = field(json, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

PeftPattern pattern(const Json& json, const std::string& name, const std::string& where) {
  PeftPattern result;
  const Json* value = field(json, name);
  if (value == nullptr) return result;
  if (!value->is_object()) fail_field(where, name, *value, "an object of numbers");
  for (const auto& [key, entry] : value->items()) {
    if (!entry.is_number()) fail_field(where, join(name, ".", key), entry, "a number");
    if (const auto mistake = regex_mistake(key)) {
      fail(where, ": '", name, "': '", key, "' is not a regular expression (found ", *mistake,
           "); ", kMend);
    }
    result.emplace_back(key, entry.get<double>());
  }
  return result;
}

void check_kind(const Json& json, const std::string& where) {
  const std::string type = text_of(json, "peft_type");
  if (!type.empty() && type != "LORA") {
    fail(where, ": peft_type is ", type, ", expected LORA; only LoRA adapters can be used here");
  }
  const std::string init = text_of(json, "init_lora_weights");
  for (const char* changing : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (init.starts_with(changing)) {
      fail(where, ": init_lora_weights is '", init,
           "': this adapter belongs to a base model that PEFT changes while loading; save it with "
           "PEFT's path_initial_model_for_weight_conversion first");
    }
  }
}

void read_targets(const Json& json, PeftConfig& config, const std::string& where) {
  const Json* targets = field(json, "target_modules");
  if (targets == nullptr) return;
  if (targets->is_string()) {
    config.target_modules = {targets->get<std::string>()};
    config.targets_are_regex = config.target_modules[0] != "all-linear";
    return;
  }
  if (!targets->is_array()) fail_field(where, "target_modules", *targets, "a list of names");
  for (const Json& name : *targets) {
    if (!name.is_string()) fail_field(where, "target_modules", *targets, "a list of names");
    config.target_modules.push_back(name.get<std::string>());
  }
}

PeftConfig from_json(const Json& json, const std::string& where) {
  check_kind(json, where);
  PeftConfig config;
  config.r = number(json, "r", where);
  config.alpha = number(json, "lora_alpha", where);
  config.rank_pattern = pattern(json, "rank_pattern", where);
  config.alpha_pattern = pattern(json, "alpha_pattern", where);
  config.use_rslora = flag(json, "use_rslora", where);
  config.use_dora = flag(json, "use_dora", where);
  config.fan_in_fan_out = flag(json, "fan_in_fan_out", where);
  config.dropout = number(json, "lora_dropout", where).value_or(0);
  config.base_model = text_of(json, "base_model_name_or_path");
  config.task_type = text_of(json, "task_type");
  read_targets(json, config, where);
  return config;
}

Json parse_object(const std::string& text, const std::string& where) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) fail(where, ": not a JSON object; damaged adapter configuration?");
  return json;
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
  return from_json(parse_object(text, where), where);
}

PeftConfig read_peft_config(const Path& path) {
  return parse_peft_config(read_file(path), path.string());
}

std::optional<PeftConfig> parse_component_config(const std::string& text,
                                                 const std::string& component,
                                                 const std::string& where) {
  Json part = Json::object();
  const std::string prefix = component + ".";
  const Json whole = parse_object(text, where);
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
  nlohmann::json json;
  for (const char* name :
       {"alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config",
        "exclude_modules", "layer_replication", "layers_pattern", "layers_to_transform",
        "megatron_config", "modules_to_save", "revision", "target_parameters",
        "trainable_token_indices"}) {
    json[name] = nullptr;
  }
  for (const char* name : {"ensure_weight_tying", "lora_bias", "use_qalora"}) json[name] = false;
  json["alpha_pattern"] = pattern_json(config.alpha_pattern);
  json["rank_pattern"] = pattern_json(config.rank_pattern);
  json["base_model_name_or_path"] = text_or_null(config.base_model);
  json["bias"] = "none";
  json["fan_in_fan_out"] = config.fan_in_fan_out;
  json["inference_mode"] = true;
  json["init_lora_weights"] = true;  // never a run's own setting: PEFT refuses unknown words
  json["loftq_config"] = nlohmann::json::object();
  json["lora_alpha"] = plain_number(config.alpha.value_or(0));
  json["lora_dropout"] = config.dropout;
  json["megatron_core"] = "megatron.core";
  json["peft_type"] = "LORA";
  json["peft_version"] = "0.18.1";  // the field set that this is
  json["qalora_group_size"] = 16;
  json["r"] = plain_number(config.r.value_or(0));
  json["task_type"] = text_or_null(config.task_type);
  if (config.targets_are_regex) {
    json["target_modules"] = config.target_modules.at(0);
  } else {
    json["target_modules"] = config.target_modules;
  }
  json["use_dora"] = config.use_dora;
  json["use_rslora"] = config.use_rslora;
  return json.dump(2, ' ', true);
}

}  // namespace lora
