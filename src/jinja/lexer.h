// SPDX-License-Identifier: Apache-2.0
// Splits a Jinja template into tokens, with trim_blocks and lstrip_blocks on and
// keep_trailing_newline off: the settings with which transformers renders chat templates.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lora::jinja {

enum class TokenKind {
  data,
  block_begin,
  block_end,
  print_begin,
  print_end,
  name,
  string,
  integer,
  real,
  symbol,
  end
};

struct Token {
  TokenKind kind;
  std::string text;  // of a string: its value, escapes resolved
  int line;
};

// Throws Error "NAME, line N: ...".
std::vector<Token> tokenize(std::string_view source, const std::string& name);

// "template 'NAME', line N": the beginning of every message.
std::string at_line(const std::string& name, int line);

}  // namespace lora::jinja
