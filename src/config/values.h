// SPDX-License-Identifier: Apache-2.0
// Reads one YAML value into its member of Config, checking type, range and choice.
#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>

#include "config/fields.h"
#include "config/problems.h"

namespace lora {

// Where a node lies.
using Placer = std::function<Place(const YAML::Node&)>;

// Sets the member, or adds what is wrong with the value to `problems`. An empty value (null)
// leaves the default.
void read_value(const YAML::Node& node, const Field& field, const Placer& placer, Config& config,
                Problems& problems);

}  // namespace lora
