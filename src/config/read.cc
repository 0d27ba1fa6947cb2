// SPDX-License-Identifier: Apache-2.0
#include "config/read.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <type_traits>

#include "base/text.h"
#include "config/dialect.h"

namespace lora {
namespace {

Place place_at(const std::string& name, const YAML::Mark& mark) {
  return {fmt::format("{}:{}:{}", name, mark.line + 1, mark.column + 1), mark.line + 1,
          mark.column + 1};
}

Place command_line() { return {"command line", std::numeric_limits<int>::max(), 0}; }

// yaml-cpp takes some tabs for blanks and reports others far away from them.
void check_tabs(const std::string& text, const std::string& name, Problems& problems) {
  int line = 0;
  for (const std::string& row : split(text, '\n')) {
    ++line;
    const std::size_t first = row.find_first_not_of(' ');
    if (first == std::string::npos || row[first] != '\t' || trim(row).empty()) continue;
    const int column = static_cast<int>(first) + 1;
    problems.add({fmt::format("{}:{}:{}", name, line, column), line, column}, "",
                 "not valid YAML (found a tab, expected spaces); indent with spaces");
  }
}

std::optional<YAML::Node> parse_yaml(const std::string& text, const std::string& name,
                                     Problems& problems) {
  check_tabs(text, name, problems);
  if (!problems.empty()) return std::nullopt;
  const Place whole{name, 0, 0};
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty() || documents[0].IsNull()) {
      problems.add(whole, "", "nothing in it (expected lines of `key: value`); see configs/");
    } else if (documents.size() > 1) {
      problems.add(
          whole, "",
          fmt::format("{} documents (expected one); remove the '---' lines", documents.size()));
    } else if (!documents[0].IsMap()) {
      problems.add(place_at(name, documents[0].Mark()), "",
                   "not a configuration (expected lines of `key: value`); see configs/");
    } else {
      return documents[0];
    }
  } catch (const YAML::Exception& error) {
    problems.add(place_at(name, error.mark), "",
                 fmt::format("not valid YAML ({}); mend this line or the one before", error.msg));
  }
  return std::nullopt;
}

const Field* known_field(const std::string& written, const Place& place, Problems& problems) {
  if (const Field* field = find_field(written)) return field;
  const std::string_view advice = advice_for(written);
  std::string rest = did_you_mean(written, field_names());
  if (!advice.empty()) {
    rest = fmt::format("; {}", advice);
  } else if (rest.empty()) {
    rest = "; `lora help config` lists every key";
  }
  problems.add(place, written, "unknown key" + rest);
  return nullptr;
}

template <typename Member>
constexpr bool kIsList = std::is_same_v<Member, Access<std::vector<std::string>>>;

bool holds_list(const Field& field) {
  return std::visit([](auto member) { return kIsList<decltype(member)>; }, field.member);
}

bool holds_map(const Field& field) {
  return std::visit(
      [](auto member) {
        return requires { member(std::declval<Config&>())["key"]; };
      },
      field.member);
}

// Only lists and mappings are YAML on the command line; a text there is taken as it is.
YAML::Node override_value(const Field& field, const std::string& text) {
  if (text == "null") return YAML::Node();
  const bool structured =
      (holds_list(field) && text.starts_with('[')) || (holds_map(field) && text.starts_with('{'));
  if (!structured) return YAML::Node(text);
  try {
    return YAML::Load(text);
  } catch (const YAML::Exception&) {
    return YAML::Node(text);
  }
}

// Pairs of which one may be given.
constexpr std::string_view kEither[][2] = {{"epochs", "max_steps"},
                                           {"warmup_steps", "warmup_ratio"},
                                           {"validation_data", "validation_split"}};

void displace_partner(std::string_view name, Given& given) {
  for (const auto& pair : kEither) {
    for (int i = 0; i < 2; ++i) {
      const auto partner = given.find(pair[1 - i]);
      if (pair[i] != name || partner == given.end()) continue;
      if (!partner->second.place_of_file.empty()) given.erase(partner);
    }
  }
}

}  // namespace

Given read_entries(const std::string& text, const std::string& name, Problems& problems) {
  Given given;
  const std::optional<YAML::Node> root = parse_yaml(text, name, problems);
  if (!root) return given;
  for (const auto& item : *root) {
    const Place place = place_at(name, item.first.Mark());
    if (!item.first.IsScalar()) {
      problems.add(place, "", "the key is not a word (expected `key: value`)");
      continue;
    }
    const std::string& written = item.first.Scalar();
    const Field* field = known_field(written, place, problems);
    if (field == nullptr) continue;
    const auto [old, fresh] = given.try_emplace(field->name);
    if (fresh) {
      old->second = {field, item.second, place, written, name};
      continue;
    }
    problems.add(place, written,
                 fmt::format("given twice (first in line {} as '{}'); keep one",
                             old->second.key_place.line, old->second.written));
  }
  return given;
}

void apply_overrides(const std::vector<std::string>& overrides, Given& given, Problems& problems) {
  for (const std::string& text : overrides) {
    const std::size_t sign = text.find('=');
    if (sign == std::string::npos || sign == 0) {
      problems.add(command_line(), "",
                   fmt::format("'{}' is no override (expected key=value)", text));
      continue;
    }
    const std::string written = trim(text.substr(0, sign));
    const Field* field = known_field(written, command_line(), problems);
    if (field == nullptr) continue;
    displace_partner(field->name, given);
    given[field->name] = {field, override_value(*field, text.substr(sign + 1)), command_line(),
                          written, ""};
  }
}

Place place_in(const Entry& entry, const YAML::Node& node) {
  if (entry.place_of_file.empty() || node.Mark().is_null()) return entry.key_place;
  return place_at(entry.place_of_file, node.Mark());
}

}  // namespace lora
