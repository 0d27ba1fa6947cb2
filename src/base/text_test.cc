// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>

namespace lora {

TEST(Text, EditDistanceCountsSwapsOnce) {
  EXPECT_EQ(edit_distance("rnak", "rank"), 1);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(Text, SuggestsOnlyNearWords) {
  EXPECT_EQ(did_you_mean("lora_rnak", {"lora_alpha", "lora_rank"}), "; did you mean 'lora_rank'?");
  EXPECT_EQ(did_you_mean("zzzzzz", {"rank", "alpha"}), "");
}

TEST(Text, HumanNumbers) {
  EXPECT_EQ(human_seconds(200), "3 min 20 s");
}

}  // namespace lora
