// SPDX-License-Identifier: Apache-2.0
// What is written out of the declaration: config.resolved.yaml, help, docs/config.md.
#include <fmt/format.h>

#include "base/error.h"
#include "base/layout.h"
#include "base/text.h"
#include "config/fields.h"

namespace lora {
namespace {

// "8", or what an absent value means.
std::string default_text(const Field& field) {
  if (!field.absent.empty()) return std::string(field.absent);
  const std::string value = value_text(Config{}, field).value_or("");
  return value == "\"\"" ? (field.help.ends_with("Required.") ? "(required)" : "(empty)") : value;
}

std::string allowed_text(const Field& field) {
  if (!field.choices.empty()) return join_words(split(field.choices, ' '));
  const std::string range = range_text(field.range);
  return std::string(type_name(field)) + (range.empty() ? "" : ", " + range);
}

std::string task_note(const Field& field) {
  if (field.task == Task::text) return "text";
  return field.task == Task::image ? "images" : "";
}

std::string alias_text(const Field& field) {
  return field.aliases.empty() ? "" : join_words(split(field.aliases, ' '));
}

std::string details(const Field& field) {
  std::string out = wrapped(field.help, 6);
  out += wrapped("values: " + allowed_text(field), 6);
  out += wrapped("default: " + default_text(field), 6);
  if (!field.aliases.empty()) out += wrapped("also read as: " + alias_text(field), 6);
  if (field.task != Task::any) out += "      only for " + task_note(field) + "\n";
  return out;
}

}  // namespace

std::string resolved_yaml(const Config& config) {
  const Task task = is_image_task(config) ? Task::image : Task::text;
  std::string out =
      "# Every setting of this run; `lora train --config` with this file repeats it.\n";
  for (const FieldGroup& group : field_groups()) {
    std::string lines;
    for (const Field& field : group.fields) {
      if (field.task != Task::any && field.task != task) continue;
      const auto value = value_text(config, field);
      if (value) lines += fmt::format("{}: {}\n", field.name, *value);
    }
    if (!lines.empty()) out += fmt::format("\n# {}\n{}", group.title, lines);
  }
  return out;
}

std::string config_help() {
  std::string out =
      "Keys of the configuration file (flat YAML), also given as key=value on the command line.\n"
      "`lora help config KEY` shows one; docs/config.md has the same as a page.\n";
  for (const FieldGroup& group : field_groups()) {
    out += fmt::format("\n{}\n", group.title);
    for (const Field& field : group.fields) {
      out += fmt::format("\n  {}\n{}", field.name, details(field));
    }
  }
  return out;
}

std::string config_help(std::string_view key) {
  const Field* field = find_field(key);
  if (field == nullptr) {
    const std::string suggestion = did_you_mean(key, field_names());
    fail_usage("configuration key '", key, "': unknown",
               suggestion.empty() ? "; `lora help config` lists every key" : suggestion);
  }
  return fmt::format("  {}\n{}", field->name, details(*field));
}

std::string config_markdown() {
  std::string out =
      "# Configuration keys\n\n"
      "Written by `lora help config --markdown > docs/config.md`; do not edit.\n\n"
      "The configuration is one flat YAML file. `key=value` on the command line replaces a value "
      "of\nthe file. Relative paths start at the working directory. Unknown keys, wrong types, "
      "values out\nof range and settings that exclude each other are errors with their place, all "
      "at once, before\nanything is computed. config.resolved.yaml in the version's folder holds "
      "every setting of the\nrun and repeats it.\n";
  for (const FieldGroup& group : field_groups()) {
    out += fmt::format("\n## {}\n\n| key | values | default | meaning |\n|---|---|---|---|\n",
                       group.title);
    for (const Field& field : group.fields) {
      std::string meaning(field.help);
      if (!field.aliases.empty()) meaning += " Also read as " + alias_text(field) + ".";
      if (field.task != Task::any) meaning += " Only for " + task_note(field) + ".";
      out += fmt::format("| `{}` | {} | {} | {} |\n", field.name, table_cell(allowed_text(field)),
                         table_cell(default_text(field)), table_cell(meaning));
    }
  }
  return out;
}

}  // namespace lora
