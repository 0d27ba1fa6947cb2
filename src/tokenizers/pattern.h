// SPDX-License-Identifier: Apache-2.0
// Pattern: what tokenizer.json searches texts for, a regular expression or a literal string.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/regex.h"

namespace lora {

class Pattern {
 public:
  using Range = std::pair<std::size_t, std::size_t>;  // [first, second) in bytes

  // `where` names the place in error messages. Throws Error for a pattern that does not compile.
  static Pattern regex(std::string_view pattern, const std::string& where);
  static Pattern literal(std::string_view text);

  // Non-overlapping matches of valid UTF-8, in order. Empty matches are left out. Throws Error for
  // a pattern that tries too many ways to match.
  void find(std::string_view text, const std::function<void(Range)>& found) const;
  // Every match replaced by `content` (taken literally).
  std::string replaced(std::string_view text, std::string_view content) const;

 private:
  std::optional<Regex> regex_;  // nothing: literal_
  std::string literal_;
};

}  // namespace lora
