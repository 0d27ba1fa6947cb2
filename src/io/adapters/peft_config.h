// SPDX-License-Identifier: Apache-2.0
// adapter_config.json of PEFT: reading, and writing what PEFT 0.10 to 0.18 read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"

namespace lora {

// Patterns in file order: PEFT takes the first whose regular expression `(.*\.)?(key)$` matches
// the whole module path.
using PeftPattern = std::vector<std::pair<std::string, double>>;

struct PeftConfig {
  std::optional<double> r, alpha;  // absent in the file: nothing
  PeftPattern rank_pattern, alpha_pattern;
  bool use_rslora = false, use_dora = false, fan_in_fan_out = false;
  double dropout = 0;
  std::string base_model, task_type;
  std::vector<std::string> target_modules;  // one element with is_regex: a regular expression
  bool targets_are_regex = false;
  // layers_to_transform, layers_pattern or exclude_modules leave out some of what they name.
  bool targets_are_narrowed = false;
};

// Parses adapter_config.json. Throws Error naming file and field: not JSON, another peft_type,
// fields of the wrong type, an init_lora_weights that makes the adapter relative to a changed base
// (pissa, olora, corda, loftq, lora_ga), a field that makes it more than a LoRA (alora, ...).
PeftConfig read_peft_config(const Path& path);
PeftConfig parse_peft_config(const std::string& text, const std::string& where);
// The part of a `lora_adapter_metadata` text (diffusers) whose keys begin `component` + ".";
// nothing where the component has no entries.
std::optional<PeftConfig> parse_component_config(const std::string& text,
                                                 const std::string& component,
                                                 const std::string& where);

// Value of the first matching pattern.
std::optional<double> match_pattern(const PeftPattern& pattern, const std::string& module,
                                    const std::string& where);

// Rank and alpha of a module as PEFT computes them.
std::optional<double> rank_of(const PeftConfig& config, const std::string& module,
                              const std::string& where);
std::optional<double> alpha_of(const PeftConfig& config, const std::string& module,
                               const std::string& where);

// scale = alpha / rank, or alpha / sqrt(rank) with rsLoRA.
double lora_scale(double alpha, std::int64_t rank, bool use_rslora);

// The text of adapter_config.json: indent 2, sorted keys; what identifies the adapter, and the
// fields that differ from PEFT's defaults. An older PEFT refuses fields that it does not know.
std::string format_peft_config(const PeftConfig& config);

}  // namespace lora
