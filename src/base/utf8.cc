// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace lora {
namespace {

// Lengths by first byte, with the allowed range of the second (RFC 3629, table 3-7 of Unicode).
struct Form {
  unsigned char first, last, second_low, second_high;
  std::size_t length;
};
constexpr std::array<Form, 9> kForms = {{{0x00, 0x7f, 0, 0, 1},
                                         {0xc2, 0xdf, 0x80, 0xbf, 2},
                                         {0xe0, 0xe0, 0xa0, 0xbf, 3},
                                         {0xe1, 0xec, 0x80, 0xbf, 3},
                                         {0xed, 0xed, 0x80, 0x9f, 3},
                                         {0xee, 0xef, 0x80, 0xbf, 3},
                                         {0xf0, 0xf0, 0x90, 0xbf, 4},
                                         {0xf1, 0xf3, 0x80, 0xbf, 4},
                                         {0xf4, 0xf4, 0x80, 0x8f, 4}}};

// Length of the valid sequence at `at`, 0 where it is invalid.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (const Form& form : kForms) {
    if (byte(at) < form.first || byte(at) > form.last) continue;
    if (form.length == 1) return 1;
    if (at + form.length > text.size()) return 0;
    if (byte(at + 1) < form.second_low || byte(at + 1) > form.second_high) return 0;
    for (std::size_t i = 2; i < form.length; ++i) {
      if ((byte(at + i) & 0xc0) != 0x80) return 0;
    }
    return form.length;
  }
  return 0;
}

}  // namespace

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

void check_utf8(std::string_view text, const std::string& where, int first_line) {
  const auto bad = first_invalid_utf8(text);
  if (!bad) return;
  const auto line = first_line + std::count(text.begin(), text.begin() + *bad, '\n');
  fail_usage(where, ":", line, ": not valid UTF-8 (byte ",
             fmt::format("0x{:02X}", static_cast<unsigned char>(text[*bad])),
             "); save the file as UTF-8");
}

std::string_view without_bom(std::string_view text) {
  return text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text;
}

}  // namespace lora
