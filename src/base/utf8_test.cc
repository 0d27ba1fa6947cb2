// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace lora {

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_FALSE(first_invalid_utf8("aé漢😀"));
  EXPECT_EQ(first_invalid_utf8("ab\xe9z"), 2U);
  EXPECT_EQ(first_invalid_utf8("\xc0\x80"), 0U);      // overlong
  EXPECT_EQ(first_invalid_utf8("\xed\xa0\x80"), 0U);  // surrogate
  EXPECT_EQ(first_invalid_utf8("x\xe6\xbc"), 1U);     // cut off
}

TEST(Utf8, TellsTheLongestPartOfABrokenCodePoint) {
  EXPECT_EQ(utf8_part("\xe6\xbcz", 0).size, 2U);  // one more byte would have made 漢
  EXPECT_EQ(utf8_part("\xf0\x9f\x98z", 0).size, 3U);
  EXPECT_EQ(utf8_part("\xe0\x80\x80", 0).size, 1U);  // overlong: no second byte fits
  EXPECT_FALSE(utf8_part("\xf4\x90\x80\x80", 0).valid);
  EXPECT_TRUE(utf8_part("a\xf0\x9f\x98\x80", 1).valid);
}

TEST(Utf8, WritesAndReadsCodePointsOfEveryLength) {
  std::string text;
  for (const std::uint32_t code : {0x61U, 0xe9U, 0x6f22U, 0x1f600U}) append_utf8(text, code);
  EXPECT_EQ(text, "aé漢😀");
  std::vector<std::uint32_t> read;
  for (std::size_t at = 0; at < text.size();) read.push_back(next_code_point(text, at));
  EXPECT_EQ(read, (std::vector<std::uint32_t>{0x61, 0xe9, 0x6f22, 0x1f600}));
}

TEST(Utf8, NamesTheLine) {
  try {
    check_utf8("one\ntwo\xff", "a.csv");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "a.csv:2: not valid UTF-8 (byte 0xFF); save the file as UTF-8");
  }
}

}  // namespace lora
