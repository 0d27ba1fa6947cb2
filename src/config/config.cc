// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/paths.h"
#include "config/problems.h"
#include "config/read.h"
#include "config/rules.h"
#include "config/values.h"

namespace lora {

Config parse_config(const std::string& text, const std::string& name,
                    const std::vector<std::string>& overrides) {
  Problems problems;
  Given given = read_entries(text, name, problems);
  const bool readable = !given.empty() || problems.empty();
  apply_overrides(overrides, given, problems);
  Config config;
  for (const auto& [key, entry] : given) {
    const Placer placer = [&entry = entry](const YAML::Node& node) {
      return place_in(entry, node);
    };
    read_value(entry.value, *entry.field, placer, config, problems);
  }
  if (readable) check_rules(given, name, config, problems);
  problems.throw_if_any();
  return config;
}

std::string read_config(const Path& file) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) {
    fail_usage(file.string(), ": no such configuration file; give a YAML file, see configs/");
  }
  return read_file(file);
}

Config load_config(const Path& file, const std::vector<std::string>& overrides) {
  return parse_config(read_config(file), file.string(), overrides);
}

std::string resolved_value(const Path& file, const std::string& key) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) return "";
  try {
    const YAML::Node value = YAML::Load(read_file(file))[key];
    return value && value.IsScalar() ? value.Scalar() : "";
  } catch (const YAML::Exception&) {
    return "";  // cut off by a kill
  }
}

void fill_defaults(Config& config) {
  const bool image = is_image_task(config);
  if (!config.adapter.lora_rank) config.adapter.lora_rank = 8;
  if (!config.adapter.lora_alpha) {
    config.adapter.lora_alpha = static_cast<double>(*config.adapter.lora_rank) * (image ? 1 : 2);
  }
  if (!config.adapter.lora_dropout) config.adapter.lora_dropout = 0;
  if (!config.adapter.use_rslora) config.adapter.use_rslora = false;
  if (!config.adapter.use_dora) config.adapter.use_dora = false;
  if (!config.optimisation.learning_rate) config.optimisation.learning_rate = image ? 1e-4 : 2e-4;
  if (config.adapter.target_modules.empty()) {
    config.adapter.target_modules = image ? std::vector<std::string>{"attention"}
                                          : std::vector<std::string>{"q_proj", "v_proj"};
  }
}

bool is_image_task(const Config& config) { return config.task_type == "text-to-image"; }

bool is_regex(std::string_view target) {
  return target.find_first_of("\\*+?()[]{}|^$") != std::string_view::npos;
}

bool is_warm_start(const Config& config) {
  const std::string& value = config.adapter.init_lora_weights;
  return value != "true" && value != "false" && value != "gaussian";
}

std::int64_t warmup_steps_of(const Config& config, std::int64_t total) {
  if (config.optimisation.warmup_steps) return *config.optimisation.warmup_steps;
  const bool warm = is_warm_start(config);
  const double ratio = config.optimisation.warmup_ratio.value_or(warm ? 0.05 : 0.03);
  const auto steps =
      static_cast<std::int64_t>(std::ceil(ratio * static_cast<double>(total) - 1e-9));
  if (config.optimisation.warmup_ratio) return steps;
  return std::min(std::max<std::int64_t>(steps, warm ? 10 : 0), total / 2);
}

Path output_root(const Config& config) { return folder_around(config.output_dir); }

}  // namespace lora
