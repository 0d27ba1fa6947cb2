// SPDX-License-Identifier: Apache-2.0
// Reading JSON that comes from outside: settings by key, each checked when it is read.
//
// Messages: "<where>: '<path.of.key>': found X, expected Y; <remedy>" and "<where>: '<path.of.key>'
// is missing (expected Y); <remedy>". `where` names the file, `remedy` what to do about it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// The JSON object in `text`; Json is nlohmann::json or nlohmann::ordered_json (keys in the order
// of the text). Throws Error for anything else and for one that is nested too deeply.
template <typename Json>
Json parse_json_object(std::string_view text, const std::string& where, std::string_view remedy);

// A JSON object and its place. null counts as absent. Json as above.
template <typename Json>
class JsonReader {
 public:
  // `json` must outlive the reader. Throws Error unless it is an object.
  JsonReader(const Json& json, std::string where, std::string remedy);

  const std::string& where() const { return where_; }
  const Json& json() const { return json_; }
  const Json* find(std::string_view key) const;  // nullptr: absent
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // The value of `key`, `otherwise` where it is absent. Throws Error for a value of another kind,
  // and for an absent one where there is no `otherwise`.
  std::int64_t whole(std::string_view key, std::optional<std::int64_t> otherwise = {}) const;
  std::int64_t count(std::string_view key,
                     std::optional<std::int64_t> otherwise = {}) const;  // > 0
  double number(std::string_view key, std::optional<double> otherwise = {}) const;
  double positive(std::string_view key, std::optional<double> otherwise = {}) const;  // > 0
  bool flag(std::string_view key, std::optional<bool> otherwise = {}) const;
  std::string text(std::string_view key, std::optional<std::string> otherwise = {}) const;
  std::vector<std::string> texts(std::string_view key,
                                 std::optional<std::vector<std::string>> otherwise = {}) const;
  std::vector<std::int64_t> wholes(std::string_view key,
                                   std::optional<std::vector<std::int64_t>> otherwise = {}) const;
  const Json& list(std::string_view key) const;
  const Json& object(std::string_view key) const;
  // The object at `key` (an empty one where it is absent), whose keys are told as "key.its_key".
  JsonReader inside(std::string_view key) const;

  [[noreturn]] void wrong(std::string_view key, const Json& found, std::string_view expected) const;
  [[noreturn]] void missing(std::string_view key, std::string_view expected) const;

 private:
  const Json& json_;
  std::string where_, remedy_, path_;
};

extern template class JsonReader<nlohmann::json>;
extern template class JsonReader<nlohmann::ordered_json>;

}  // namespace lora
