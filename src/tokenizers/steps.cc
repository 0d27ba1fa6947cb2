// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/steps.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizers/pattern.h"
#include "tokenizers/unicode.h"

namespace lora {

using nlohmann::json;

namespace {

struct ByteCharacters {
  std::array<std::string, 256> of_byte;
  std::array<int, 0x180> to_byte;

  ByteCharacters() {
    to_byte.fill(-1);
    std::uint32_t other = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
      const std::uint32_t code = printable ? byte : other++;
      unicode::append(of_byte[byte], code);
      to_byte[code] = static_cast<int>(byte);
    }
  }
};

const ByteCharacters& byte_characters() {
  static const ByteCharacters table;
  return table;
}

[[noreturn]] void fail_field(const std::string& where, const char* name, const json& found,
                             const char* expected) {
  fail(where, ": field '", name, "' is wrong (found ", found.dump(), ", expected ", expected,
       "); take the file from the original model");
}

const json& field(const json& section, const char* name) {
  static const json kNull;
  const auto found = section.find(name);
  return found == section.end() ? kNull : *found;
}

}  // namespace

std::string to_byte_characters(std::string_view text) {
  const ByteCharacters& table = byte_characters();
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (const char c : text) out += table.of_byte[static_cast<unsigned char>(c)];
  return out;
}

bool from_byte_characters(std::string_view text, std::string& bytes) {
  const ByteCharacters& table = byte_characters();
  bytes.clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::uint32_t code = unicode::next(text, at);
    const int byte = code < table.to_byte.size() ? table.to_byte[code] : -1;
    if (byte < 0) return false;
    bytes += static_cast<char>(byte);
  }
  return true;
}

std::string text_field(const json& section, const char* name, const std::string& where) {
  const json& value = field(section, name);
  if (!value.is_string()) fail_field(where, name, value, "a text");
  return value.get<std::string>();
}

std::string text_field(const json& section, const char* name, const std::string& where,
                       const std::string& otherwise) {
  return field(section, name).is_null() ? otherwise : text_field(section, name, where);
}

bool flag_field(const json& section, const char* name, const std::string& where, bool otherwise) {
  const json& value = field(section, name);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean()) fail_field(where, name, value, "true or false");
  return value.get<bool>();
}

std::int64_t number_field(const json& section, const char* name, const std::string& where) {
  const json& value = field(section, name);
  if (!value.is_number_integer()) fail_field(where, name, value, "a whole number");
  return value.get<std::int64_t>();
}

const json& list_field(const json& section, const char* name, const std::string& where) {
  const json& value = field(section, name);
  if (!value.is_array()) fail_field(where, name, value, "a list");
  return value;
}

Pattern pattern_field(const json& section, const std::string& where) {
  const json& value = field(section, "pattern");
  if (value.is_object() && value.contains("String")) {
    return Pattern::literal(text_field(value, "String", where));
  }
  if (value.is_object() && value.contains("Regex")) {
    return Pattern::regex(text_field(value, "Regex", where), where);
  }
  fail_field(where, "pattern", value, R"({"String": ".."} or {"Regex": ".."})");
}

}  // namespace lora
