// SPDX-License-Identifier: Apache-2.0
// UTF-8: is it valid, bytes to code points and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lora {

// Bytes of the code point that begins with `lead`, in valid UTF-8.
inline std::size_t utf8_length(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

// The code point that begins at text[at] of valid UTF-8; `at` moves behind it.
std::uint32_t next_code_point(std::string_view text, std::size_t& at);

// What begins at text[at]: a code point of `size` bytes, or (not valid) the longest part of one,
// at least 1 byte (the maximal subpart of Unicode, table 3-8).
struct Utf8Part {
  std::size_t size;
  bool valid;
};
Utf8Part utf8_part(std::string_view text, std::size_t at);

// Byte position of the first invalid sequence (overlong forms and surrogates count), if any.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

// Adds a code point up to U+10FFFF.
void append_utf8(std::string& out, std::uint32_t code);

// Throws Error "<where>:<line>: not valid UTF-8 (byte 0xE9 ...); save the file as UTF-8".
// `first_line` is the number of the text's first line.
void check_utf8(std::string_view text, const std::string& where, int first_line = 1);

// Drops a leading byte-order mark.
std::string_view without_bom(std::string_view text);

}  // namespace lora
