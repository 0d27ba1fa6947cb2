// SPDX-License-Identifier: Apache-2.0
// Rules across keys, and the values that follow from others.
#pragma once

#include <string>
#include <string_view>

#include "config/read.h"

namespace lora {

// What the rules see. `name` is the file, for what concerns it as a whole.
struct RuleContext {
  const Given& given;
  const std::string& name;
  Config& config;
  Problems& problems;

  bool has(std::string_view key) const { return given.contains(key); }
  // Adds a mistake at the place of `key` (the whole file where it was not given).
  void say(std::string_view key, std::string_view message) const;
};

// Infers task_type, epochs, retain and the like; checks files and folders and what goes together.
void check_rules(const Given& given, const std::string& name, Config& config, Problems& problems);

// Its parts. rules_files.cc: what lies on disk; rules_training.cc: the settings.
void check_files(const RuleContext& context);
void check_training(const RuleContext& context);

}  // namespace lora
