// SPDX-License-Identifier: Apache-2.0
#include "base/shown.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>

#include "base/utf8.h"

namespace lora {
namespace {

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

bool keeps_lines(std::uint32_t code) { return !is_control(code) || code == '\n' || code == '\t'; }
bool keeps_one_line(std::uint32_t code) { return !is_control(code); }
bool keeps_all(std::uint32_t /*code*/) { return true; }

// What is not UTF-8, and the code points that are not to be kept.
std::string escaped(std::string_view text, bool (*keeps)(std::uint32_t)) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Part found = utf8_part(text, at);
    const std::string_view part = text.substr(at, found.size);
    if (!found.valid) {
      for (const char c : part) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      at += found.size;
      continue;
    }
    const std::uint32_t code = next_code_point(text, at);
    if (keeps(code)) {
      out += part;
    } else {
      escape(out, code);
    }
  }
  return out;
}

}  // namespace

std::string shown(std::string_view text) { return escaped(text, keeps_one_line); }
std::string shown_lines(std::string_view text) { return escaped(text, keeps_lines); }
std::string with_bytes_escaped(std::string_view text) { return escaped(text, keeps_all); }

void say(std::string_view text) {
  const std::string line = shown_lines(text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
}

}  // namespace lora
