// SPDX-License-Identifier: Apache-2.0
#include "io/png_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/error.h"

namespace lora {
namespace {

constexpr std::size_t kSignature = 8, kIhdr = 25;  // bytes; the chunk with length, type and CRC

constexpr std::array<std::uint32_t, 256> kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1U ^ (value & 1U ? 0xEDB88320U : 0U);
    table[i] = value;
  }
  return table;
}();

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t value = ~0U;
  for (const char byte : bytes) {
    value = value >> 8U ^ kCrcTable[(value ^ static_cast<unsigned char>(byte)) & 255U];
  }
  return ~value;
}

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 255U);
  return bytes;
}

std::string chunk(const std::string& keyword, const std::string& text) {
  const bool ascii = std::ranges::all_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x80 && c != '\0'; });
  // iTXt: not compressed (two zeros), no language, no translated keyword.
  const std::string head = ascii ? keyword + '\0' : keyword + std::string(5, '\0');
  const std::string body = (ascii ? "tEXt" : "iTXt") + head + text;
  return big_endian(static_cast<std::uint32_t>(body.size() - 4)) + body + big_endian(crc32(body));
}

}  // namespace

std::string with_png_text(std::string_view png, const std::map<std::string, std::string>& text) {
  const std::size_t head = kSignature + kIhdr;
  if (png.size() < head || !png.starts_with("\x89PNG")) {
    fail("PNG text: these bytes are no PNG (found ", png.size(), " bytes)");
  }
  std::string out(png.substr(0, head));
  for (const auto& [keyword, value] : text) out += chunk(keyword, value);
  return out.append(png.substr(head));
}

}  // namespace lora
