// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/steps.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/utf8.h"
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
      append_utf8(of_byte[byte], code);
      to_byte[code] = static_cast<int>(byte);
    }
  }
};

const ByteCharacters& byte_characters() {
  static const ByteCharacters table;
  return table;
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
    const std::uint32_t code = next_code_point(text, at);
    const int byte = code < table.to_byte.size() ? table.to_byte[code] : -1;
    if (byte < 0) return false;
    bytes += static_cast<char>(byte);
  }
  return true;
}

Pattern pattern_field(const Section& section) {
  const Section pattern = section.inside("pattern");
  if (pattern.has("String")) return Pattern::literal(pattern.text("String"));
  if (pattern.has("Regex")) return Pattern::regex(pattern.text("Regex"), section.where());
  section.wrong("pattern", section.object("pattern"), R"({"String": ".."} or {"Regex": ".."})");
}

}  // namespace lora
