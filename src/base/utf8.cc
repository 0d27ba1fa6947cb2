// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace lora {

std::uint32_t next_code_point(std::string_view text, std::size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at++]);
  if (lead < 0x80) return lead;
  const std::size_t size = utf8_length(lead);
  std::uint32_t code = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    code = code << 6 | (static_cast<unsigned char>(text[at++]) & 0x3f);
  }
  return code;
}

// Table 3-7 of Unicode: the lead byte limits the second one.
Utf8Part utf8_part(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const std::size_t size = utf8_length(lead);
  unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (std::size_t i = 1; i < size; ++i) {
    if (at + i >= text.size() || byte(at + i) < low || byte(at + i) > high) return {i, false};
    low = 0x80;
    high = 0xbf;
  }
  return {size, true};
}

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Part part = utf8_part(text, at);
    if (!part.valid) return at;
    at += part.size;
  }
  return std::nullopt;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto rest = [&](int shift) { out += static_cast<char>(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    rest(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    rest(6);
    rest(0);
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    rest(12);
    rest(6);
    rest(0);
  }
}

void check_utf8(std::string_view text, const std::string& where, int first_line) {
  const auto line_of = [&](std::size_t byte) {
    const std::string_view before = text.substr(0, byte);
    return first_line + std::count(before.begin(), before.end(), '\n');
  };
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    fail_usage(where, ":", line_of(zero), ": holds bytes of zero (found UTF-16 or another ",
               "encoding, expected UTF-8); save the file as UTF-8");
  }
  const auto bad = first_invalid_utf8(text);
  if (!bad) return;
  fail_usage(where, ":", line_of(*bad), ": not valid UTF-8 (byte ",
             fmt::format("0x{:02X}", static_cast<unsigned char>(text[*bad])),
             "); save the file as UTF-8");
}

std::string_view without_bom(std::string_view text) {
  return text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text;
}

}  // namespace lora
