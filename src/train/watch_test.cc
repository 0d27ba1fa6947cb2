// SPDX-License-Identifier: Apache-2.0
#include "train/watch.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lora {
namespace {

constexpr std::int64_t kBudget = 100;

// What a run was told at steps 10, 20, ..., and what the watch said.
struct Case {
  std::string name;
  WatchConfig settings;
  std::vector<double> losses;
  std::string advice;  // g: go on, k: keep, s: stop
  std::int64_t best_step;
  double best;
};

const Case kCases[] = {
    {"only_measured", {}, {5, 4, 6, 7, 8}, "ggggg", 20, 4},
    {"keeps_the_best", {.keep_best = true}, {5, 4, 6, 3, 3}, "kkgkg", 40, 3},
    {"never_better", {.keep_best = true}, {2, 2, 2}, "kgg", 10, 2},
    {"patience",
     {.early_stopping = true, .early_stopping_patience = 2},
     {4, 2, 3, 3},
     "kkgs",
     20,
     2},
    {"patience_starts_again",
     {.early_stopping = true, .early_stopping_patience = 2},
     {4, 5, 3, 5, 2, 3, 3},
     "kgkgkgs",
     50,
     2},
    {"a_step_below_the_threshold_is_none",
     {.early_stopping = true, .early_stopping_patience = 2, .early_stopping_threshold = 0.5},
     {4, 3.6, 3.5},  // the last is exactly the threshold below the first
     "kgs",
     10,
     4},
    {"stops_without_keeping",
     {.early_stopping = true, .early_stopping_patience = 1, .keep_best = false},
     {4, 3, 3},
     "ggs",
     20,
     3},
};

std::string word_of(Advice advice) {
  return advice == Advice::keep ? "k" : advice == Advice::stop ? "s" : "g";
}

TEST(Watch, SaysKeepGoOnStop) {
  for (const Case& c : kCases) {
    Watch watch(c.settings, kBudget);
    std::string advice;
    std::int64_t step = 0;
    for (double loss : c.losses) {
      const nlohmann::json state = watch.state();
      const Advice said = watch.tell(step += 10, {{"validation", loss}});
      advice += word_of(said);
      // One that was saved before, and told the same, is the same.
      Watch again(c.settings, kBudget);
      again.restore(state);
      EXPECT_EQ(again.tell(step, {{"validation", loss}}), said) << c.name;
      EXPECT_EQ(again.state(), watch.state()) << c.name;
    }
    EXPECT_EQ(advice, c.advice) << c.name;
    EXPECT_EQ(watch.stopped(), c.advice.ends_with('s')) << c.name;
    EXPECT_EQ(watch.best_step(), c.best_step) << c.name;
    EXPECT_EQ(watch.best(), c.best) << c.name;
    EXPECT_EQ(watch.last(), c.losses.back()) << c.name;
  }
}

TEST(Watch, FollowsTheLossOnTheNewData) {
  Watch watch({.keep_best = true}, kBudget);
  EXPECT_EQ(watch.tell(10, {{"parent", 1}, {"validation", 4}}), Advice::keep);
  EXPECT_EQ(watch.tell(20, {{"parent", 0}, {"validation", 5}}), Advice::go_on);
  EXPECT_EQ(watch.tell(30, {{"parent", 0}}), Advice::go_on);
  EXPECT_EQ(watch.tell(40, {}), Advice::go_on);
  EXPECT_EQ(watch.last(), 5);
  EXPECT_EQ(watch.worse_in_a_row(), 1);
}

TEST(Watch, RemembersWhereTheRunBegan) {
  Watch watch({.keep_best = true}, kBudget);
  EXPECT_TRUE(watch.owes(0));
  EXPECT_EQ(watch.tell(0, {{"validation", 1}}), Advice::go_on);
  EXPECT_FALSE(watch.owes(0));
  EXPECT_EQ(watch.first(), 1);
  EXPECT_EQ(watch.best(), std::nullopt);
  EXPECT_EQ(watch.tell(10, {{"validation", 2}}),
            Advice::keep);  // worse than the base, yet the best
  EXPECT_TRUE(watch.owes(15));
}

TEST(Watch, KnowsWhenToValidateAndWhenTheRunIsOver) {
  const Watch every_four({.eval_steps = 4}, kBudget), by_epoch({}, kBudget);
  EXPECT_TRUE(every_four.due(8, false));
  EXPECT_FALSE(every_four.due(9, true));
  EXPECT_TRUE(by_epoch.due(9, true));
  EXPECT_FALSE(by_epoch.due(8, false));
  EXPECT_FALSE(by_epoch.over(kBudget - 1));
  EXPECT_TRUE(by_epoch.over(kBudget));
  Watch impatient({.early_stopping = true, .early_stopping_patience = 1}, kBudget);
  impatient.tell(1, {{"validation", 1}});
  EXPECT_FALSE(impatient.over(1));
  impatient.tell(2, {{"validation", 1}});
  EXPECT_TRUE(impatient.over(2));
  EXPECT_FALSE(impatient.owes(3));
}

// The names of version 0.1.0: its checkpoints can be continued.
TEST(Watch, StateIsThatOfCheckpoints) {
  Watch watch({.keep_best = true}, kBudget);
  EXPECT_EQ(watch.state().dump(),
            R"({"bad_validations":0,"best_loss":null,"best_step":0,"validated_at":-1,)"
            R"("validation_before":null,"validation_last":null})");
  watch.tell(0, {{"validation", 3}});
  watch.tell(5, {{"validation", 1.5}});
  watch.tell(10, {{"validation", 2}});
  EXPECT_EQ(watch.state().dump(),
            R"({"bad_validations":1,"best_loss":1.5,"best_step":5,"validated_at":10,)"
            R"("validation_before":3.0,"validation_last":2.0})");
}

}  // namespace
}  // namespace lora
