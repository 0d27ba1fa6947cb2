// SPDX-License-Identifier: Apache-2.0
// Text from outside to JSON: the one way in. What is nested too deeply, holds too large a number
// or has too many fields in one object is a mistake like any other. Json is nlohmann::json or
// nlohmann::ordered_json.
#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace lora {

// Deeper than any file of settings; what is deeper would exhaust the stack when it is copied.
inline constexpr int kDeepestJson = 100;
// Of one object, where the order of the fields is kept: finding one among them takes as many steps.
inline constexpr std::size_t kMostFields = 10'000;

struct JsonMistake {
  std::string what;   // "this is not valid JSON"
  std::string found;  // "NaN, which JSON does not have"; "" where it is a matter of brackets
  std::size_t byte;   // where, from 1
};

// Is told the name of each field of the outermost object, also where one occurs twice (the last
// one counts). What it throws ends the reading.
using FieldSeen = std::function<void(const std::string& name)>;

// Reads `text` into `json`; says what is wrong where it cannot.
template <typename Json>
std::optional<JsonMistake> read_json_text(std::string_view text, Json& json,
                                          const FieldSeen& seen = {});

// Throws Error "<where>: <what> (found <found> at byte 5 of 10); <remedy>".
template <typename Json>
Json parse_json(std::string_view text, const std::string& where, std::string_view remedy,
                const FieldSeen& seen = {});

// Nothing where the text cannot be read: for caches, journals and what else may be damaged.
template <typename Json>
std::optional<Json> try_parse_json(std::string_view text);

// Prints it on standard output, characters of the terminal and wrong UTF-8 escaped.
template <typename Json>
void say_json(const Json& json, int indent = 2);

}  // namespace lora
