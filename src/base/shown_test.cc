// SPDX-License-Identifier: Apache-2.0
#include "base/shown.h"

#include <gtest/gtest.h>

namespace lora {
namespace {

TEST(Shown, ControlCharactersAreEscaped) {
  struct Case {
    std::string_view text, one_line, lines;
  };
  const Case cases[] = {
      {"\u00e9, \u4e2d, \U0001f642", "\u00e9, \u4e2d, \U0001f642", "\u00e9, \u4e2d, \U0001f642"},
      {"a\nb\tc", "a\\nb\\tc", "a\nb\tc"},
      {"\x1b]0;title\x07\x1b[31mred", "\\x1b]0;title\\x07\\x1b[31mred",
       "\\x1b]0;title\\x07\\x1b[31mred"},
      {"over\rwritten\x08", "over\\rwritten\\x08", "over\\rwritten\\x08"},
      {"\x7f", "\\u007f", "\\u007f"},
      {"\xc2\x9b" "31m", "\\u009b31m", "\\u009b31m"},
      {"txt.\xe2\x80\xae" "exe", "txt.\\u202eexe", "txt.\\u202eexe"},
      {"\xe2\x80\xa8", "\\u2028", "\\u2028"},
      {"caf\xe9", "caf\\xe9", "caf\\xe9"},
      {"\xe2\x82", "\\xe2\\x82", "\\xe2\\x82"},
      {std::string_view("\0", 1), "\\x00", "\\x00"},
      {"C:\\x1b", "C:\\x1b", "C:\\x1b"},
      {"", "", ""},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(shown(c.text), c.one_line);
    EXPECT_EQ(shown_lines(c.text), c.lines);
    EXPECT_EQ(shown(shown(c.text)), c.one_line);
  }
}

TEST(Shown, JsonKeepsAllButWrongBytes) {
  EXPECT_EQ(with_bytes_escaped("caf\xc3\xa9\n\x1b"), "caf\xc3\xa9\n\x1b");
  EXPECT_EQ(with_bytes_escaped("jos\xe9.png"), "jos\\xe9.png");
  EXPECT_EQ(with_bytes_escaped("\xd0\xc7\xc1"), "\\xd0\\xc7\\xc1");
}

}  // namespace
}  // namespace lora
