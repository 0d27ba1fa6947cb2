// SPDX-License-Identifier: Apache-2.0
// Text of others for terminals, logs and reports: it can neither move the cursor nor forge a line.
#pragma once

#include <string>
#include <string_view>

namespace lora {

// On one line: control characters as \n, \x1b and \u009b, marks that turn the direction of writing
// as \u202e, bytes that are not UTF-8 as \xe9. Everything else as it is; shown twice is shown once.
std::string shown(std::string_view text);

// The same, with line ends and tabs as they are.
std::string shown_lines(std::string_view text);

// Only the bytes that are not UTF-8, as \xe9: for names and texts in JSON.
std::string with_bytes_escaped(std::string_view text);

// shown_lines(text) and a line end on standard output. JSON stays JSON: what is escaped here stands
// in its texts, as \u007f and the like.
void say(std::string_view text);

}  // namespace lora
