// SPDX-License-Identifier: Apache-2.0
// What becomes of a caption's text: WebUI marks, repeated tags, the trigger word.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lora {

struct CaptionRules {
  std::string trigger;  // put first where the caption does not hold it yet
  std::string prefix, suffix;
  bool clean = true;  // WebUI weights "(x:1.2)", <lora:...>, repeated tags, blanks
};

// Line breaks become blanks; cleaning; then trigger, prefix and suffix.
std::string apply_rules(const std::string& caption, const CaptionRules& rules);

// Without line breaks, and blanks around them.
std::string on_one_line(std::string_view text);

// `word` stands in `text` as a word of its own, in upper or lower case (ASCII): "rin" is no part of
// "a ring" and one of "Rin, standing". Next to letters of scripts without blanks it counts.
bool holds_word(std::string_view text, std::string_view word);

// How many comma-separated parts at the caption's beginning are the trigger: 0 = it does not begin
// with it.
std::size_t trigger_parts(std::string_view caption, std::string_view trigger);

}  // namespace lora
