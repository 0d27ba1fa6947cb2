// SPDX-License-Identifier: Apache-2.0
// A configuration file and its overrides, split into keys and values with their places.
#pragma once

#include <yaml-cpp/yaml.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.h"
#include "config/problems.h"

namespace lora {

struct Entry {
  const Field* field = nullptr;
  YAML::Node value;
  Place key_place;
  std::string written;        // the key as given, perhaps an alias
  std::string place_of_file;  // name of the file, "" for an override
};

// The keys that were given, by their first name.
using Given = std::map<std::string_view, Entry>;

// Reads the text of a file; mistakes go to `problems`.
Given read_entries(const std::string& text, const std::string& name, Problems& problems);

// Applies "key=value" overrides. max_steps displaces the file's epochs, and so on.
void apply_overrides(const std::vector<std::string>& overrides, Given& given, Problems& problems);

// Place of a node of `entry`.
Place place_in(const Entry& entry, const YAML::Node& node);

}  // namespace lora
