// SPDX-License-Identifier: Apache-2.0
// Code points and the Unicode properties that tokenizers need (tables of utf8proc).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lora::unicode {

// The code point of valid UTF-8 that ends before `text[at]`, at > 0; `at` moves to its start.
std::uint32_t previous(std::string_view text, std::size_t& at);

// Every maximal invalid part becomes one U+FFFD (Unicode 15, table 3-8).
std::string lossy(std::string_view bytes);

enum class Form { nfc, nfd, nfkc, nfkd };
std::string normalized(std::string text, Form form);
std::string lower(std::string_view text);          // each code point alone, as Rust's to_lowercase
std::string without_marks(std::string_view text);  // drops non-spacing marks (Mn)

bool is_white(std::uint32_t code);        // property White_Space
bool is_numeric(std::uint32_t code);      // categories Nd, Nl, No
bool is_punctuation(std::uint32_t code);  // ASCII punctuation and categories P*
bool is_word(std::uint32_t code);         // \w of UTS 18

}  // namespace lora::unicode
