// SPDX-License-Identifier: Apache-2.0
// The declaration of every key: name, member, aliases, range or choices, help. Reading YAML,
// `key=value`, checking, config.resolved.yaml, help and docs/config.md all come from these rows.
// To add a key: one member in groups.h, one row in a fields_*.cc.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/range.h"
#include "config/config.h"

namespace lora {

// Where a key's value lies, by the type of the value.
template <typename T>
using Access = T& (*)(Config&);
using Member = std::variant<
    Access<bool>, Access<std::int64_t>, Access<double>, Access<std::string>,
    Access<std::optional<bool>>, Access<std::optional<std::int64_t>>, Access<std::optional<double>>,
    Access<std::vector<std::string>>, Access<std::map<std::string, std::string>>,
    Access<std::map<std::string, std::int64_t>>, Access<std::map<std::string, double>>>;

template <auto Key>
auto& value_in_run(Config& config) {
  return config.*Key;
}
template <auto Group, auto Key>
auto& value_in_group(Config& config) {
  return (config.*Group).*Key;
}

// How the rows name a member: in_adapter<&AdapterConfig::lora_rank>.
template <auto Key>
constexpr auto in_run = &value_in_run<Key>;
template <auto Key>
constexpr auto in_data = &value_in_group<&Config::data, Key>;
template <auto Key>
constexpr auto in_adapter = &value_in_group<&Config::adapter, Key>;
template <auto Key>
constexpr auto in_increment = &value_in_group<&Config::increment, Key>;
template <auto Key>
constexpr auto in_optimisation = &value_in_group<&Config::optimisation, Key>;
template <auto Key>
constexpr auto in_length = &value_in_group<&Config::length, Key>;
template <auto Key>
constexpr auto in_machine = &value_in_group<&Config::machine, Key>;
template <auto Key>
constexpr auto in_text = &value_in_group<&Config::text, Key>;
template <auto Key>
constexpr auto in_images = &value_in_group<&Config::images, Key>;
template <auto Key>
constexpr auto in_prior = &value_in_group<&Config::prior, Key>;
template <auto Key>
constexpr auto in_watch = &value_in_group<&Config::watch, Key>;
template <auto Key>
constexpr auto in_sampling = &value_in_group<&Config::sampling, Key>;

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
