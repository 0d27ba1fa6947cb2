// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "base/error.h"

namespace lora {

TEST(Parallel, CallsEachOnce) {
  for (const std::size_t threads : {0U, 1U, 3U}) {
    std::vector<std::atomic<int>> calls(100);
    parallel_for(
        calls.size(), [&](std::size_t i) { ++calls[i]; }, threads);
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
  parallel_for(0, [](std::size_t) { FAIL(); });
}

TEST(Parallel, ThrowsTheFirstErrorAgain) {
  std::atomic<int> calls = 0;
  const auto work = [&](std::size_t i) {
    ++calls;
    if (i == 3) fail("number three");
  };
  EXPECT_THROW(parallel_for(1000, work, 1), Error);
  EXPECT_EQ(calls, 4);
  EXPECT_THROW(parallel_for(1000, work, 4), Error);
}

}  // namespace lora
