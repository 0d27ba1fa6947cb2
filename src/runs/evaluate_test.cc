// SPDX-License-Identifier: Apache-2.0
#include "runs/evaluate.h"

#include <gtest/gtest.h>

#include "tests/cli/run.h"

namespace lora {
namespace {

TEST(Evaluate, EverySampleHasItsOwnScoreInTheOrderOfTheFile) {
  const test::Workplace place;
  const TextSession session =
      open_text_session({.base = place.base(), .dtype = "f32", .threads = 1});
  const TextSet all = read_text_set(session, {.path = place / "old.jsonl"}, 256);
  const Score score = evaluate(session, all);
  ASSERT_EQ(score.samples.size(), all.samples.samples.size());
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < score.samples.size(); ++i) {
    TextSet one = all;
    one.samples.samples = {all.samples.samples[i]};
    const Score alone = evaluate(session, one);
    ASSERT_EQ(alone.samples.size(), 1U);
    EXPECT_EQ(score.samples[i].count, alone.count);
    EXPECT_NEAR(score.samples[i].loss(), alone.loss(), 1e-5) << i;
    EXPECT_EQ(score.samples[i].exact, alone.exact_share() == 1);
    sum += score.samples[i].loss_sum;
    count += score.samples[i].count;
  }
  EXPECT_EQ(score.count, count);
  EXPECT_NEAR(score.loss_sum, sum, 1e-5 * sum);
}

TEST(Session, RefusesUnknownWords) {
  const test::Workplace place;
  EXPECT_THROW(open_text_session({.base = place.base(), .dtype = "f8"}), Error);
  EXPECT_THROW(open_text_session({.base = place.base(), .device = "tpu"}), Error);
}

}  // namespace
}  // namespace lora
