// SPDX-License-Identifier: Apache-2.0
// UTF-8 checks for files that people write.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lora {

// Byte position of the first invalid sequence (overlong forms and surrogates count), if any.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

// Throws Error "<where>:<line>: not valid UTF-8 (byte 0xE9 ...); save the file as UTF-8".
// `first_line` is the number of the text's first line.
void check_utf8(std::string_view text, const std::string& where, int first_line = 1);

// Drops a leading byte-order mark.
std::string_view without_bom(std::string_view text);

}  // namespace lora
