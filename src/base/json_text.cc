// SPDX-License-Identifier: Apache-2.0
#include "base/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/shown.h"

namespace lora {
namespace {

// What a scan of the text tells before anything is built: depth and number of fields.
std::optional<JsonMistake> check_structure(std::string_view text, bool count_fields) {
  std::vector<std::size_t> commas(1);  // for each bracket that is open
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (quoted) {
      continue;
    } else if (c == '[' || c == '{') {
      commas.push_back(0);
      if (commas.size() <= kDeepestJson + 1) continue;
      return JsonMistake{"nested too deeply",
                         join("more than ", kDeepestJson, " brackets inside each other"), i + 1};
    } else if ((c == ']' || c == '}') && commas.size() > 1) {
      commas.pop_back();
    } else if (c == ':' && count_fields && ++commas.back() > kMostFields) {
      return JsonMistake{"an object has too many fields", join("more than ", kMostFields), i + 1};
    }
  }
  return std::nullopt;
}

template <typename Json>
typename Json::parser_callback_t telling(const FieldSeen& seen) {
  return [&seen](int depth, typename Json::parse_event_t event, Json& value) {
    const bool field = depth == 1 && event == Json::parse_event_t::key;
    if (field) seen(value.template get_ref<const std::string&>());
    return true;
  };
}

// Python's json writes these words for numbers.
std::string word_at(std::string_view text, std::size_t byte) {
  const std::string_view rest = text.substr(std::min(text.size(), byte > 0 ? byte - 1 : 0));
  for (const char* word : {"NaN", "Infinity"}) {
    if (rest.starts_with(word)) return join(word, ", which JSON does not have");
  }
  return "";
}

[[noreturn]] void fail_with(const JsonMistake& mistake, std::string_view text,
                            const std::string& where, std::string_view remedy) {
  fail(where, ": ", mistake.what, " (found ", mistake.found.empty() ? "an error" : mistake.found,
       " at byte ", mistake.byte, " of ",
       text.size(), "); ", remedy);
}

}  // namespace

template <typename Json>
std::optional<JsonMistake> read_json_text(std::string_view text, Json& json,
                                          const FieldSeen& seen) {
  constexpr bool kOrdered = std::is_same_v<Json, nlohmann::ordered_json>;
  if (auto mistake = check_structure(text, kOrdered)) return mistake;
  try {
    json = seen ? Json::parse(text, telling<Json>(seen)) : Json::parse(text);
  } catch (const typename Json::parse_error& error) {
    return JsonMistake{"this is not valid JSON", word_at(text, error.byte), error.byte};
  } catch (const typename Json::exception&) {  // out_of_range: 1e400
    return JsonMistake{"a number is too large", "one that 64 bits do not hold", text.size()};
  }
  return std::nullopt;
}

template <typename Json>
Json parse_json(std::string_view text, const std::string& where, std::string_view remedy,
                const FieldSeen& seen) {
  Json json;
  const auto mistake = read_json_text(text, json, seen);
  if (mistake) fail_with(*mistake, text, where, remedy);
  return json;
}

template <typename Json>
std::optional<Json> try_parse_json(std::string_view text) {
  Json json;
  if (read_json_text(text, json)) return std::nullopt;
  return json;
}

template <typename Json>
void say_json(const Json& json, int indent) {
  say(json.dump(indent, ' ', false, Json::error_handler_t::replace));
}

template std::optional<JsonMistake> read_json_text(std::string_view, nlohmann::json&,
                                                   const FieldSeen&);
template std::optional<JsonMistake> read_json_text(std::string_view, nlohmann::ordered_json&,
                                                   const FieldSeen&);
template nlohmann::json parse_json(std::string_view, const std::string&, std::string_view,
                                   const FieldSeen&);
template nlohmann::ordered_json parse_json(std::string_view, const std::string&, std::string_view,
                                           const FieldSeen&);
template std::optional<nlohmann::json> try_parse_json(std::string_view);
template std::optional<nlohmann::ordered_json> try_parse_json(std::string_view);
template void say_json(const nlohmann::json&, int);
template void say_json(const nlohmann::ordered_json&, int);

}  // namespace lora
