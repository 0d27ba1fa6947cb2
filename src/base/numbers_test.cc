// SPDX-License-Identifier: Apache-2.0
#include "base/numbers.h"

#include <gtest/gtest.h>

namespace lora {
namespace {

TEST(Numbers, TheWholeTextIsTheNumber) {
  EXPECT_EQ(whole_number("0"), 0);
  EXPECT_EQ(whole_number("007"), 7);
  EXPECT_EQ(whole_number("9223372036854775807"), INT64_MAX);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "9223372036854775808",
                           "99999999999999999999", "nan"}) {
    EXPECT_EQ(whole_number(text), std::nullopt) << text;
  }
  EXPECT_EQ(finite_number("0.5"), 0.5);
  EXPECT_EQ(finite_number("-1e-4"), -1e-4);
  for (const char* text : {"", "nan", "-nan", "inf", "-inf", "infinity", "1e400", "1e-400", "+1",
                           "0x1p3", "1,5", "1 ", " 1", "1.0.0"}) {
    EXPECT_EQ(finite_number(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace lora
