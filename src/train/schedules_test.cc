// SPDX-License-Identifier: Apache-2.0
// Factors of transformers 5.12.1 get_scheduler: 4 warm-up steps of 16, 3 cycles, power 2, peak
// 0.01, end 1e-7.
#include "train/schedules.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace lora {
namespace {

struct Case {
  const char* name;
  std::vector<double> factors;
};

const Case kCases[] = {
    {"constant", {0, .25, .5, .75, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"linear",
     {0, .25, .5, .75, 1, 0.916666666667, 0.833333333333, .75, 0.666666666667, 0.583333333333, .5,
      0.416666666667, 0.333333333333, .25, 0.166666666667, 0.083333333333, 0, 0}},
    {"cosine",
     {0, .25, .5, .75, 1, 0.982962913145, 0.933012701892, 0.853553390593, .75, 0.629409522551, .5,
      0.370590477449, .25, 0.146446609407, 0.066987298108, 0.017037086855, 0}},
    {"cosine_with_restarts",
     {0, .25, .5, .75, 1, 0.853553390593, .5, 0.146446609407, 1, 0.853553390593, .5, 0.146446609407,
      1, 0.853553390593, .5, 0.146446609407, 0, 0}},
    {"polynomial",
     {0, .25, .5, .75, 1, 0.840279375, 0.6944475, 0.562504375, 0.44445, 0.340284375, 0.2500075,
      0.173619375, 0.11112, 0.062509375, 0.0277875, 0.006954375, 1e-05, 1e-05}},
};

TEST(Schedules, AgreeWithTransformers) {
  const ScheduleSpan span{.warmup = 4, .total = 16, .cycles = 3, .power = 2, .peak = 0.01};
  for (const Case& expected : kCases) {
    for (std::size_t step = 0; step < expected.factors.size(); ++step) {
      EXPECT_NEAR(schedule_factor(expected.name, span, static_cast<std::int64_t>(step)),
                  expected.factors[step], 1e-11)
          << expected.name << " step " << step;
    }
  }
}

// Reference values of a cosine from 1 to 0.1 (stanford-cs336 assignment 1, MIT).
TEST(Schedules, FallToTheMinimum) {
  const ScheduleSpan span{.warmup = 7, .total = 21, .minimum = 0.1};
  const double expected[] = {0, 0.14285714285714285, 0.2857142857142857};
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(schedule_factor("cosine", span, i), expected[i], 1e-12);
  EXPECT_NEAR(schedule_factor("cosine", span, 7), 1.0, 1e-12);
  EXPECT_NEAR(schedule_factor("cosine", span, 8), 0.9887175604818206, 1e-12);
  EXPECT_NEAR(schedule_factor("cosine", span, 14), 0.55, 1e-12);
  EXPECT_NEAR(schedule_factor("cosine", span, 20), 0.11128243951817937, 1e-12);
  EXPECT_NEAR(schedule_factor("cosine", span, 21), 0.1, 1e-12);
}

TEST(Schedules, WithoutWarmupStartAtThePeak) {
  for (const ScheduleRow& row : schedule_rows()) {
    EXPECT_DOUBLE_EQ(schedule_factor(row.name, {.total = 10}, 0), 1) << row.name;
  }
}

TEST(Schedules, SurviveARunShorterThanItsWarmup) {
  EXPECT_DOUBLE_EQ(schedule_factor("cosine", {.warmup = 10, .total = 5}, 4), 0.4);
}

TEST(Schedules, AnUnknownNameListsTheKnown) {
  try {
    schedule_factor("cosin", {}, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    EXPECT_NE(std::string(error.what()).find("did you mean 'cosine'?"), std::string::npos);
  }
}

}  // namespace
}  // namespace lora
