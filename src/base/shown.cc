// SPDX-License-Identifier: Apache-2.0
#include "base/shown.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>

#include "base/utf8.h"

namespace lora {
namespace {

// The code point of a valid part.
std::uint32_t decoded(std::string_view part) {
  constexpr unsigned kLead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  std::uint32_t code = static_cast<unsigned char>(part[0]) & kLead[part.size()];
  for (const char c : part.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
  return code;
}

// Of C0 and DEL, of C1, and what turns the direction of writing or ends a line.
bool is_control(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0x200e || code == 0x200f || code == 0x061c;
}

void escape(std::string& out, std::uint32_t code) {
  constexpr std::string_view kNamed = "\n\r\t", kLetters = "nrt";
  const std::size_t named = code < 0x20 ? kNamed.find(static_cast<char>(code)) : kNamed.npos;
  if (named != kNamed.npos) {
    out += '\\';
    out += kLetters[named];
  } else {
    out += code < 0x20 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
  }
}

std::string escaped(std::string_view text, std::string_view kept) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Part found = utf8_part(text, at);
    const std::string_view part = text.substr(at, found.size);
    at += found.size;
    if (!found.valid) {
      for (const char c : part) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else if (kept.find(part) == kept.npos && is_control(decoded(part))) {
      escape(out, decoded(part));
    } else {
      out += part;
    }
  }
  return out;
}

}  // namespace

std::string shown(std::string_view text) { return escaped(text, ""); }
std::string shown_lines(std::string_view text) { return escaped(text, "\n\t"); }

void say(std::string_view text) {
  const std::string line = shown_lines(text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
}

}  // namespace lora
