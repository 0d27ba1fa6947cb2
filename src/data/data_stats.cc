// SPDX-License-Identifier: Apache-2.0
// data_stats.json.
#include "data/data_stats.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"

namespace lora {
namespace {

using Json = nlohmann::json;

double rounded(double value) { return std::strtod(fmt::format("{:.4g}", value).c_str(), nullptr); }

// Hash and mosaic in hexadecimal.
std::string mark_text(const PictureMark& mark) {
  std::string text = fmt::format("{:016x}", mark.hash);
  for (const std::uint8_t value : mark.mosaic) text += fmt::format("{:02x}", value);
  return text;
}

PictureMark mark_from(const std::string& text, const std::string& where) {
  const auto number = [&](std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    const char* end = text.data() + at + size;
    if (std::from_chars(text.data() + at, end, value, 16).ptr != end) {
      fail_integrity(where, ": '", text, "' is no mark of a picture");
    }
    return value;
  };
  PictureMark mark;
  if (text.size() != 16 + 2 * mark.mosaic.size()) {
    fail_integrity(where, ": '", text, "' is no mark of a picture");
  }
  mark.hash = number(0, 16);
  for (std::size_t i = 0; i < mark.mosaic.size(); ++i) {
    mark.mosaic[i] = static_cast<std::uint8_t>(number(16 + 2 * i, 2));
  }
  return mark;
}

// json::get converts what is no whole number, or does not fit, without a word.
std::int64_t whole(const Json& json) {
  if (json.is_number_integer()) return json.get<std::int64_t>();
  throw Json::type_error::create(302, "expected a whole number, found " + json.dump(), &json);
}

std::map<std::string, std::int64_t> wholes(const Json& json) {
  std::map<std::string, std::int64_t> values;
  for (const auto& [name, value] : json.get_ref<const Json::object_t&>()) {
    values[name] = whole(value);
  }
  return values;
}

}  // namespace

std::optional<double> DataStats::share(const std::string& name) const {
  const auto found = shares.find(name);
  return found == shares.end() ? std::nullopt : std::optional(found->second);
}

std::string stats_json(const DataStats& stats) {
  Json json = {{"kind", stats.kind},
               {"samples", stats.samples},
               {"longest", stats.longest},
               {"trigger", stats.trigger},
               {"too_small", stats.too_small},
               {"settings", stats.settings},
               {"template_markers", stats.template_markers},
               {"terms", stats.terms.samples},
               {"other_terms", stats.terms.rest},
               {"terms_noise", rounded(stats.terms.noise)}};
  json["measures"] = Json::object();
  for (const auto& [name, values] : stats.measures) {
    for (const double value : values) json["measures"][name].push_back(rounded(value));
  }
  json["shares"] = Json::object();
  for (const auto& [name, share] : stats.shares) json["shares"][name] = rounded(share);
  json["marks"] = Json::array();
  for (const PictureMark& mark : stats.marks) json["marks"].push_back(mark_text(mark));
  return json.dump() + "\n";
}

DataStats parse_stats(const std::string& text, const std::string& where) {
  DataStats stats;
  try {
    const Json json = try_parse_json<Json>(text).value_or(Json());
    json.at("kind").get_to(stats.kind);
    stats.samples = whole(json.at("samples"));
    stats.longest = whole(json.at("longest"));
    json.at("trigger").get_to(stats.trigger);
    stats.too_small = whole(json.at("too_small"));
    stats.settings = wholes(json.at("settings"));
    json.at("template_markers").get_to(stats.template_markers);
    stats.terms.samples = wholes(json.at("terms"));
    stats.terms.rest = whole(json.at("other_terms"));
    json.at("terms_noise").get_to(stats.terms.noise);
    json.at("measures").get_to(stats.measures);
    json.at("shares").get_to(stats.shares);
    for (const Json& mark : json.at("marks")) stats.marks.push_back(mark_from(mark, where));
  } catch (const Json::exception& error) {
    fail_integrity(where, ": not statistics of a data set (", error.what(),
                   "); restore the file from a copy");
  }
  return stats;
}

std::optional<DataStats> read_stats(const Path& folder) {
  const Path file = folder / kStatsName;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) return std::nullopt;
  return parse_stats(read_file(file), file.string());
}

}  // namespace lora
