// SPDX-License-Identifier: Apache-2.0
#include "config/values.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/numbers.h"
#include "base/text.h"
#include "config/dialect.h"

namespace lora {
namespace {

std::string found(const YAML::Node& node) {
  if (node.IsSequence()) return "a list";
  if (node.IsMap()) return "a mapping";
  if (!node.IsScalar()) return "nothing";
  return "'" + node.Scalar() + "'";
}

// The words that YAML 1.1 readers take for booleans, so that files of other programs work.
bool parse(const YAML::Node& node, bool& out) {
  if (!node.IsScalar()) return false;
  const std::string word = lower_ascii(node.Scalar());
  if (word == "true" || word == "yes" || word == "on") return out = true, true;
  if (word == "false" || word == "no" || word == "off") return out = false, true;
  return false;
}

// Also "1e-4", which YAML 1.1 readers take for a text.
bool parse(const YAML::Node& node, double& out) {
  if (!node.IsScalar()) return false;
  std::string_view text = node.Scalar();
  if (text.starts_with('+')) text.remove_prefix(1);
  const std::optional<double> number = finite_number(text);
  out = number.value_or(0);
  return number.has_value();
}

// "8", and "1e3" or "3.0" as other programs write counts.
bool parse(const YAML::Node& node, std::int64_t& out) {
  if (!node.IsScalar()) return false;
  const std::string& text = node.Scalar();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc() && end == text.data() + text.size()) return true;
  double number = 0;
  if (!parse(node, number) || number != std::floor(number) || std::abs(number) > 9e15) return false;
  out = static_cast<std::int64_t>(number);
  return true;
}

bool parse(const YAML::Node& node, std::string& out) {
  if (!node.IsScalar()) return false;
  out = node.Scalar();
  return true;
}

class ValueReader {
 public:
  ValueReader(const Field& field, const Placer& placer, Config& config, Problems& problems)
      : field_(field), placer_(placer), config_(config), problems_(problems) {}

  template <typename T>
  void operator()(const YAML::Node& node, Access<T> member) {
    T value{};
    if (scalar(node, type_name(field_), value)) member(config_) = value;
  }

  template <typename T>
  void operator()(const YAML::Node& node, Access<std::optional<T>> member) {
    T value{};
    if (scalar(node, type_name(field_), value)) member(config_) = value;
  }

  void operator()(const YAML::Node& node, Access<std::vector<std::string>> member) {
    std::vector<std::string> values;
    if (node.IsSequence()) {
      for (const YAML::Node& item : node) add(item, "a text", values);
    } else if (node.IsScalar()) {
      // "q_proj,v_proj" is a list; a regular expression or a prompt may hold commas.
      const bool list = field_.name != "sample_prompts" && !is_regex(node.Scalar());
      for (const std::string& word :
           list ? split(node.Scalar(), ',') : std::vector<std::string>{node.Scalar()}) {
        const YAML::Node item(trim(word));
        if (!trim(word).empty()) add(item, "a text", values, &node);
      }
    } else {
      return wrong_type(node, type_name(field_));
    }
    member(config_) = values;
  }

  template <typename T>
  void operator()(const YAML::Node& node, Access<std::map<std::string, T>> member) {
    if (!node.IsMap()) return wrong_type(node, type_name(field_));
    std::map<std::string, T> values;
    for (const auto& item : node) {
      T value{};
      if (!item.first.IsScalar()) {
        wrong_type(item.first, "a name");
      } else if (scalar(item.second, element_name(value), value)) {
        values[item.first.Scalar()] = value;
      }
    }
    member(config_) = values;
  }

 private:
  static std::string_view element_name(const std::string&) { return "a text"; }
  static std::string_view element_name(std::int64_t) { return "a whole number"; }
  static std::string_view element_name(double) { return "a number"; }

  void add(const YAML::Node& item, std::string_view expected, std::vector<std::string>& values,
           const YAML::Node* place = nullptr) {
    std::string value;
    if (scalar(item, expected, value, place)) values.push_back(value);
  }

  template <typename T>
  bool scalar(const YAML::Node& node, std::string_view expected, T& value,
              const YAML::Node* place = nullptr) {
    if (!parse(node, value)) return wrong_type(node, expected), false;
    return allowed(place != nullptr ? *place : node, value);
  }

  bool allowed(const YAML::Node&, bool) { return true; }

  template <typename T>
  bool allowed(const YAML::Node& node, T value) {
    if (contains(field_.range, static_cast<double>(value))) return true;
    report(node, fmt::format("out of range (found {}, expected {}); see `lora help config {}`",
                             found(node), range_text(field_.range), field_.name));
    return false;
  }

  bool allowed(const YAML::Node& node, std::string& value) {
    const std::string written = value;
    value = canonical_choice(field_, written);
    if (field_.choices.empty() || value.empty()) return true;
    const std::vector<std::string> choices = split(field_.choices, ' ');
    for (const std::string& choice : choices) {
      if (choice == value) return available(node, value);
    }
    const std::string_view advice = advice_for_choice(field_.name, lower_ascii(written));
    const std::string suggestion = advice.empty() ? did_you_mean(lower_ascii(written), choices)
                                                  : "; " + std::string(advice);
    report(node, fmt::format("unknown choice (found '{}', expected {} {}){}", written,
                             choices.size() == 1 ? "only" : "one of", join_words(choices),
                             suggestion.empty() ? "; choose one of them" : suggestion));
    return false;
  }

  bool available(const YAML::Node& node, const std::string& value) {
    const std::string refusal = not_available(field_.name, value);
    if (!refusal.empty()) report(node, refusal);
    return refusal.empty();
  }

  void wrong_type(const YAML::Node& node, std::string_view expected) {
    report(node, fmt::format("wrong type (found {}, expected {}); see `lora help config {}`",
                             found(node), expected, field_.name));
  }

  void report(const YAML::Node& node, std::string_view message) {
    problems_.add(placer_(node), field_.name, message);
  }

  const Field& field_;
  const Placer& placer_;
  Config& config_;
  Problems& problems_;
};

// "512,512" and [512, 512], as other programs write the resolution, are the edge of a square.
std::optional<YAML::Node> edge_of_square(const YAML::Node& node, Problems& problems,
                                         const Place& place) {
  std::vector<std::string> edges;
  if (node.IsSequence()) {
    for (const YAML::Node& edge : node) edges.push_back(edge.IsScalar() ? edge.Scalar() : "");
  }
  if (node.IsScalar()) edges = split(node.Scalar(), ',');
  if (edges.size() != 2) return node;
  std::int64_t width = 0, height = 0;
  if (!parse(YAML::Node(trim(edges[0])), width) || !parse(YAML::Node(trim(edges[1])), height)) {
    return node;
  }
  if (width == height) return YAML::Node(trim(edges[0]));
  problems.add(place, "resolution",
               fmt::format("not a square (found width {}, height {}, expected one edge); give one "
                           "edge, and buckets: true to keep the proportions of the pictures",
                           width, height));
  return std::nullopt;
}

}  // namespace

void read_value(const YAML::Node& node, const Field& field, const Placer& placer, Config& config,
                Problems& problems) {
  if (!node.IsDefined() || node.IsNull()) return;
  const auto plain = field.name == "resolution" ? edge_of_square(node, problems, placer(node))
                                                : std::optional(node);
  if (!plain) return;
  ValueReader reader(field, placer, config, problems);
  std::visit([&](auto member) { reader(*plain, member); }, field.member);
}

}  // namespace lora
