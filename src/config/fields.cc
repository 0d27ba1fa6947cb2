// SPDX-License-Identifier: Apache-2.0
#include "config/fields.h"

#include <fmt/format.h>

#include "base/text.h"

namespace lora {
namespace {

// A text that YAML reads back as the same text.
std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out + "\"";
}

bool is_plain(std::string_view text) {
  constexpr std::string_view kSafe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
  return !text.empty() && text.front() != '-' && lower_ascii(text) != "null" &&
         text.find_first_not_of(kSafe) == std::string_view::npos;
}

std::optional<std::string> show(bool value) { return value ? "true" : "false"; }
std::optional<std::string> show(std::int64_t value) { return fmt::format("{}", value); }
std::optional<std::string> show(double value) { return fmt::format("{}", value); }
std::optional<std::string> show(const std::string& value) {
  return is_plain(value) ? value : quote(value);
}

template <typename T>
std::optional<std::string> show(const std::optional<T>& value) {
  return value ? show(*value) : std::nullopt;
}

std::optional<std::string> show(const std::vector<std::string>& values) {
  if (values.empty()) return std::nullopt;
  std::vector<std::string> words;
  for (const std::string& value : values) words.push_back(*show(value));
  return "[" + join_words(words) + "]";
}

template <typename T>
std::optional<std::string> show(const std::map<std::string, T>& values) {
  if (values.empty()) return std::nullopt;
  std::vector<std::string> words;
  for (const auto& [key, value] : values) words.push_back(*show(key) + ": " + *show(value));
  return "{" + join_words(words) + "}";
}

struct TypeName {
  std::string_view operator()(Access<bool>) const { return "true or false"; }
  std::string_view operator()(Access<std::int64_t>) const { return "a whole number"; }
  std::string_view operator()(Access<double>) const { return "a number"; }
  std::string_view operator()(Access<std::string>) const { return "a text"; }
  template <typename T>
  std::string_view operator()(Access<std::optional<T>>) const {
    return (*this)(Access<T>(nullptr));
  }
  std::string_view operator()(Access<std::vector<std::string>>) const {
    return "a text or a list of texts";
  }
  std::string_view operator()(Access<std::map<std::string, std::string>>) const {
    return "a mapping {name: text}";
  }
  std::string_view operator()(Access<std::map<std::string, std::int64_t>>) const {
    return "a mapping {module: whole number}";
  }
  std::string_view operator()(Access<std::map<std::string, double>>) const {
    return "a mapping {module: number}";
  }
};

}  // namespace

std::span<const FieldGroup> field_groups() {
  static const FieldGroup kGroups[] = {
      {"The task and its base model", task_fields()},
      {"Data", data_fields()},
      {"The adapter", adapter_fields()},
      {"Continuing from a version", continue_fields()},
      {"Optimisation", optimizer_fields()},
      {"Length of the run", length_fields()},
      {"The machine", machine_fields()},
      {"Text", text_fields()},
      {"Images", image_fields()},
      {"Prior preservation (images)", prior_fields()},
      {"Watching", watch_fields()},
      {"Samples", sample_fields()},
  };
  return kGroups;
}

const Field* find_field(std::string_view name) {
  for (const FieldGroup& group : field_groups()) {
    for (const Field& field : group.fields) {
      if (field.name == name) return &field;
      for (const std::string& alias : split(field.aliases, ' ')) {
        if (!alias.empty() && alias == name) return &field;
      }
    }
  }
  return nullptr;
}

std::vector<std::string> field_names() {
  std::vector<std::string> names;
  for (const FieldGroup& group : field_groups()) {
    for (const Field& field : group.fields) {
      names.emplace_back(field.name);
      for (const std::string& alias : split(field.aliases, ' ')) {
        if (!alias.empty()) names.push_back(alias);
      }
    }
  }
  return names;
}

std::string_view type_name(const Field& field) { return std::visit(TypeName{}, field.member); }

std::optional<std::string> value_text(const Config& config, const Field& field) {
  // The rows give access for writing as well; nothing is written here.
  Config& values = const_cast<Config&>(config);
  return std::visit([&](auto member) { return show(member(values)); }, field.member);
}

}  // namespace lora
