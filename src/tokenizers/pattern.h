// SPDX-License-Identifier: Apache-2.0
// Pattern: a regular expression (PCRE2, JIT, UTF and Unicode classes) or a literal string.
// tokenizer.json is written for Oniguruma; the syntax in use there means the same here, with one
// correction made on compiling: \s and \S are the Unicode property White_Space.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lora {

class Pattern {
 public:
  using Range = std::pair<std::size_t, std::size_t>;  // [first, second) in bytes

  // `where` names the place in error messages. Throws Error for a pattern that does not compile.
  static Pattern regex(std::string_view pattern, const std::string& where);
  static Pattern literal(std::string_view text);

  // Non-overlapping matches of valid UTF-8, in order. Empty matches are left out.
  void find(std::string_view text, const std::function<void(Range)>& found) const;
  // Every match replaced by `content` (taken literally).
  std::string replaced(std::string_view text, std::string_view content) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;  // null: literal_
  std::string literal_, where_;
};

}  // namespace lora
