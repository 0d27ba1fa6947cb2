// SPDX-License-Identifier: Apache-2.0
// The declaration of every key: name, member, aliases, range or choices, help. Reading YAML,
// `key=value`, checking, config.resolved.yaml, help and docs/config.md all come from these rows.
// To add a key: one member in config.h, one row in a fields_*.cc.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"

namespace lora {

using Member =
    std::variant<bool Config::*, std::int64_t Config::*, double Config::*, std::string Config::*,
                 std::optional<bool> Config::*, std::optional<std::int64_t> Config::*,
                 std::optional<double> Config::*, std::vector<std::string> Config::*,
                 std::map<std::string, std::string> Config::*,
                 std::map<std::string, std::int64_t> Config::*,
                 std::map<std::string, double> Config::*>;

// Numbers allowed: low to high, both included unless `open` (then greater than low).
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool open = false;
};
constexpr Range at_least(double low) { return {.low = low}; }
constexpr Range above(double low) { return {.low = low, .open = true}; }
constexpr Range between(double low, double high) { return {.low = low, .high = high}; }

enum class Task { any, text, image };  // where a key may be given

struct Field {
  std::string_view name;
  Member member;
  std::string_view help;          // what it does; when to change it
  std::string_view aliases = "";  // other names that are read, separated by blanks
  Range range = {};
  std::string_view choices = "";  // separated by blanks; "" = free
  std::string_view absent = "";   // what an absent or empty value means
  Task task = Task::any;
};

struct FieldGroup {
  std::string_view title;
  std::span<const Field> fields;
};

// All keys, in the order of help and of config.resolved.yaml.
std::span<const FieldGroup> field_groups();

// The key called `name` or having that alias; nullptr where there is none.
const Field* find_field(std::string_view name);

// Every name and alias.
std::vector<std::string> field_names();

// "whole number", "list of texts", ...
std::string_view type_name(const Field& field);

// "0 to 1", "at least 1", "greater than 0"; "" without a limit.
std::string range_text(const Range& range);

// "auto", 8, [a, b]: a member as YAML flow text; nullopt where an optional is absent or a list or
// map is empty.
std::optional<std::string> value_text(const Config& config, const Field& field);

// Rows of the groups, one function a file.
std::span<const Field> task_fields();
std::span<const Field> data_fields();
std::span<const Field> adapter_fields();
std::span<const Field> continue_fields();
std::span<const Field> optimizer_fields();
std::span<const Field> length_fields();
std::span<const Field> machine_fields();
std::span<const Field> watch_fields();
std::span<const Field> text_fields();
std::span<const Field> image_fields();
std::span<const Field> prior_fields();
std::span<const Field> sample_fields();

}  // namespace lora
