// SPDX-License-Identifier: Apache-2.0
// Regular expressions, everywhere in one dialect: PCRE2 over UTF-8 with Unicode's classes. \s and
// \S are the property White_Space. What the two programs whose files are read write otherwise is
// translated: Python's re (PEFT's patterns of module names: \Z is the very end, {,3} is {0,3}) and
// Oniguruma (tokenizer.json: {,3} too). (?P<name>..), (?P=name) and look-behind are PCRE2's own.
// A pattern that tries too many ways to match ends with an Error instead of running for ever.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace lora {

enum class RegexDialect {
  python,     // for names: matched as a whole
  oniguruma,  // for texts of any length: compiled to machine code
};

// What is wrong with `pattern`, "missing closing parenthesis at character 8"; nothing where it
// compiles. Characters count from 1.
std::optional<std::string> regex_mistake(std::string_view pattern,
                                         RegexDialect dialect = RegexDialect::python);

class Regex {
 public:
  struct Range {
    std::size_t begin, end;  // bytes, [begin, end)
  };

  // Throws Error "<where>: '(q_proj' is not a regular expression (found missing closing
  // parenthesis at character 8); <remedy>". `where` is named by the errors of matching, too.
  Regex(std::string_view pattern, std::string where, std::string_view remedy,
        RegexDialect dialect = RegexDialect::python);

  // Does the pattern match the whole text (Python's re.fullmatch)? Throws Error where that takes
  // too many steps.
  bool matches(std::string_view text) const;

  // The first match at byte `from` or behind that is not empty. `text` is valid UTF-8. Throws Error
  // where it takes too many steps.
  std::optional<Range> find(std::string_view text, std::size_t from) const;

 private:
  struct Code;
  std::optional<Range> match(std::string_view text, std::size_t from, unsigned options) const;

  std::shared_ptr<const Code> code_;
  std::string pattern_, where_;
};

}  // namespace lora
