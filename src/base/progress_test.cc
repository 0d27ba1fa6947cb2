// SPDX-License-Identifier: Apache-2.0
#include "base/progress.h"

#include <gtest/gtest.h>

namespace lora {
namespace {

TEST(Progress, ShowsBarShareTimeAndNote) {
  EXPECT_EQ(progress_line(5, 10, 4.2, "loss 1.5", 10),
            "[=====>    ] 5/10  50 %  4.2 s left  loss 1.5");
  EXPECT_EQ(progress_line(10, 10, 0, "", 4), "[====] 10/10  100 %  0.0 s left");
  EXPECT_EQ(progress_line(0, 10, -1, "", 4), "[>   ] 0/10  0 %");
  EXPECT_EQ(progress_line(3, 0, -1, "", 2), "[> ] 3/0  0 %");
}

}  // namespace
}  // namespace lora
