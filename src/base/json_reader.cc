// SPDX-License-Identifier: Apache-2.0
#include "base/json_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json_text.h"

namespace lora {
namespace {

constexpr std::int64_t kLargestCount = INT32_MAX;  // sizes: their products stay in 64 bits
constexpr double kLargestNumber = 1e30;            // computed with in float32

// A value for a message: its first characters, in ASCII.
template <typename Json>
std::string shown(const Json& value) {
  constexpr std::size_t kLongest = 60;
  const std::string text = value.dump(-1, ' ', true);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "..";
}

template <typename Json>
bool is_whole(const Json& value) {
  return value.is_number_integer() &&
         (!value.is_number_unsigned() || value.template get<std::uint64_t>() <= INT64_MAX);
}

// The value of `key` if `good`; what is wrong with it is told otherwise.
template <typename T, typename Json, typename Good>
T checked(const JsonReader<Json>& in, std::string_view key, const std::optional<T>& otherwise,
          std::string_view expected, Good good) {
  const Json* found = in.find(key);
  if (found == nullptr && otherwise) return *otherwise;
  if (found == nullptr) in.missing(key, expected);
  if (!good(*found)) in.wrong(key, *found, expected);
  return found->template get<T>();
}

// The same for a list of such values.
template <typename T, typename Json, typename Good>
std::vector<T> checked_list(const JsonReader<Json>& in, std::string_view key,
                            const std::optional<std::vector<T>>& otherwise,
                            std::string_view expected, Good good) {
  return checked(in, key, otherwise, expected, [&](const Json& value) {
    return value.is_array() && std::all_of(value.begin(), value.end(), good);
  });
}

}  // namespace

template <typename Json>
Json parse_json_object(std::string_view text, const std::string& where, std::string_view remedy) {
  Json json = parse_json<Json>(text, where, remedy);
  if (!json.is_object()) {
    fail(where, ": this is not a JSON object (found ", json.type_name(), "); ", remedy);
  }
  return json;
}

template nlohmann::json parse_json_object(std::string_view, const std::string&, std::string_view);
template nlohmann::ordered_json parse_json_object(std::string_view, const std::string&,
                                                  std::string_view);

template <typename Json>
JsonReader<Json>::JsonReader(const Json& json, std::string where, std::string remedy)
    : json_(json), where_(std::move(where)), remedy_(std::move(remedy)) {
  if (!json.is_object()) {
    fail(where_, ": this is not a JSON object (found ", json.type_name(), "); ", remedy_);
  }
}

template <typename Json>
const Json* JsonReader<Json>::find(std::string_view key) const {
  const auto at = json_.find(key);
  return at == json_.end() || at->is_null() ? nullptr : &*at;
}

template <typename Json>
void JsonReader<Json>::wrong(std::string_view key, const Json& found,
                             std::string_view expected) const {
  fail(where_, ": '", path_, key, "': found ", shown(found), ", expected ", expected, "; ",
       remedy_);
}

template <typename Json>
void JsonReader<Json>::missing(std::string_view key, std::string_view expected) const {
  fail(where_, ": '", path_, key, "' is missing (expected ", expected, "); ", remedy_);
}

template <typename Json>
std::int64_t JsonReader<Json>::whole(std::string_view key,
                                     std::optional<std::int64_t> otherwise) const {
  return checked(*this, key, otherwise, "a whole number", is_whole<Json>);
}

template <typename Json>
std::int64_t JsonReader<Json>::count(std::string_view key,
                                     std::optional<std::int64_t> otherwise) const {
  const std::int64_t value = checked(*this, key, otherwise, "a whole number above 0", [](auto& v) {
    return is_whole(v) && v.template get<std::int64_t>() > 0;
  });
  if (value > kLargestCount) wrong(key, value, join("at most ", kLargestCount));
  return value;
}

template <typename Json>
double JsonReader<Json>::number(std::string_view key, std::optional<double> otherwise) const {
  return checked(*this, key, otherwise, "a number",
                 [](const Json& value) { return value.is_number(); });
}

template <typename Json>
double JsonReader<Json>::positive(std::string_view key, std::optional<double> otherwise) const {
  const double value = checked(*this, key, otherwise, "a number above 0", [](auto& v) {
    return v.is_number() && v.template get<double>() > 0;
  });
  if (value > kLargestNumber) wrong(key, value, join("at most ", kLargestNumber));
  return value;
}

template <typename Json>
bool JsonReader<Json>::flag(std::string_view key, std::optional<bool> otherwise) const {
  return checked(*this, key, otherwise, "true or false",
                 [](const Json& value) { return value.is_boolean(); });
}

template <typename Json>
std::string JsonReader<Json>::text(std::string_view key,
                                   std::optional<std::string> otherwise) const {
  return checked(*this, key, otherwise, "a text",
                 [](const Json& value) { return value.is_string(); });
}

template <typename Json>
std::vector<std::string> JsonReader<Json>::texts(
    std::string_view key, std::optional<std::vector<std::string>> otherwise) const {
  return checked_list(*this, key, otherwise, "a list of texts",
                      [](const Json& value) { return value.is_string(); });
}

template <typename Json>
std::vector<std::int64_t> JsonReader<Json>::wholes(
    std::string_view key, std::optional<std::vector<std::int64_t>> otherwise) const {
  return checked_list(*this, key, otherwise, "a list of whole numbers", is_whole<Json>);
}

template <typename Json>
const Json& JsonReader<Json>::list(std::string_view key) const {
  const Json* found = find(key);
  if (found == nullptr) missing(key, "a list");
  if (!found->is_array()) wrong(key, *found, "a list");
  return *found;
}

template <typename Json>
const Json& JsonReader<Json>::object(std::string_view key) const {
  const Json* found = find(key);
  if (found == nullptr) missing(key, "an object");
  if (!found->is_object()) wrong(key, *found, "an object");
  return *found;
}

template <typename Json>
JsonReader<Json> JsonReader<Json>::inside(std::string_view key) const {
  static const Json kEmpty = Json::object();
  JsonReader inner(has(key) ? object(key) : kEmpty, where_, remedy_);
  inner.path_ = join(path_, key, '.');
  return inner;
}

template class JsonReader<nlohmann::json>;
template class JsonReader<nlohmann::ordered_json>;

}  // namespace lora
