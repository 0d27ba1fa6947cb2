// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace lora {

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_FALSE(first_invalid_utf8("aé漢😀"));
  EXPECT_EQ(first_invalid_utf8("ab\xe9z"), 2U);
  EXPECT_EQ(first_invalid_utf8("\xc0\x80"), 0U);      // overlong
  EXPECT_EQ(first_invalid_utf8("\xed\xa0\x80"), 0U);  // surrogate
  EXPECT_EQ(first_invalid_utf8("x\xe6\xbc"), 1U);     // cut off
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
