// SPDX-License-Identifier: Apache-2.0
#include "config/read.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <sstream>
#include <type_traits>

#include "base/shown.h"
#include "base/text.h"
#include "base/utf8.h"
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

// What is not UTF-8 can be written into no record of a run. (yaml-cpp reads UTF-16 with its mark.)
void check_encoding(const std::string& text, const std::string& name, Problems& problems) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) return;
  const std::optional<std::size_t> bad = first_invalid_utf8(text);
  if (!bad) return;
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(*bad);
  const int line = 1 + static_cast<int>(std::count(text.begin(), end, '\n'));
  problems.add({fmt::format("{}:{}", name, line), line, 0}, "",
               fmt::format("not UTF-8 (found byte 0x{:02x}); save the file as UTF-8",
                           static_cast<unsigned char>(text[*bad])));
}

// Tells documents apart. YAML::LoadAll never ends where one begins with a comma.
class DocumentCounter : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  YAML::Mark last;
};

std::optional<YAML::Mark> second_document(const std::string& text) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  DocumentCounter counter;
  if (!parser.HandleNextDocument(counter) || !parser.HandleNextDocument(counter)) {
    return std::nullopt;
  }
  return counter.last;
}

std::optional<YAML::Node> parse_yaml(const std::string& text, const std::string& name,
                                     Problems& problems) {
  check_tabs(text, name, problems);
  check_encoding(text, name, problems);
  if (!problems.empty()) return std::nullopt;
  const Place whole{name, 0, 0};
  try {
    if (const std::optional<YAML::Mark> second = second_document(text)) {
      problems.add(place_at(name, *second), "",
                   "a second document begins here (expected one); remove the '---' lines, and what "
                   "stands behind the last bracket");
      return std::nullopt;
    }
    const YAML::Node document = YAML::Load(text);
    if (!document.IsDefined() || document.IsNull()) {
      problems.add(whole, "", "nothing in it (expected lines of `key: value`); see configs/");
    } else if (!document.IsMap()) {
      problems.add(place_at(name, document.Mark()), "",
                   "not a configuration (expected lines of `key: value`); see configs/");
    } else {
      return document;
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

bool is_absent(const Field& field, const YAML::Node& value) {
  return value.IsScalar() && means_absent(field.name, value.Scalar());
}

// Only lists and mappings are YAML on the command line; a text there is taken as it is.
YAML::Node override_value(const Field& field, const std::string& text) {
  if (text == "null") return YAML::Node();
  const bool structured =
      (holds_list(field) && text.starts_with('[')) || (holds_map(field) && text.starts_with('{'));
  if (!structured) return YAML::Node(text);
  try {
    return second_document(text) ? YAML::Node(text) : YAML::Load(text);
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
    if (field == nullptr || is_absent(*field, item.second)) continue;
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
    if (const std::optional<std::size_t> bad = first_invalid_utf8(text)) {
      problems.add(command_line(), "",
                   fmt::format("'{}': not UTF-8 (found byte 0x{:02x}), so that no record of the "
                               "run could hold it; rename the file",
                               shown(text), static_cast<unsigned char>(text[*bad])));
      continue;
    }
    const std::string written = trim(text.substr(0, sign));
    const Field* field = known_field(written, command_line(), problems);
    if (field == nullptr) continue;
    const YAML::Node value = override_value(*field, text.substr(sign + 1));
    if (is_absent(*field, value)) {
      given.erase(field->name);
      continue;
    }
    if (!value.IsNull()) displace_partner(field->name, given);
    given[field->name] = {field, value, command_line(), written, ""};
  }
}

Place place_in(const Entry& entry, const YAML::Node& node) {
  if (entry.place_of_file.empty() || node.Mark().is_null()) return entry.key_place;
  return place_at(entry.place_of_file, node.Mark());
}

}  // namespace lora
