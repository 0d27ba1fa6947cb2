// SPDX-License-Identifier: Apache-2.0
#include "data/drift.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/shuffle.h"

namespace lora {
namespace {

// About normal: the sum of twelve uniform numbers.
std::vector<double> normal(std::int64_t seed, std::size_t count, double mean) {
  Random random(seed, "normal", 0);
  std::vector<double> values(count, mean - 6);
  for (double& value : values) {
    for (int i = 0; i < 12; ++i) value += static_cast<double>(random.next() >> 11) * 0x1p-53;
  }
  return values;
}

// Samples of five words each out of `words`.
Terms words(std::int64_t seed, std::size_t samples, std::size_t words, const std::string& name) {
  TermCounter counter(samples);
  Random random(seed, "words", 0);
  for (std::size_t i = 0; i < samples; ++i) {
    std::vector<std::string> terms;
    for (int k = 0; k < 5; ++k) terms.push_back(name + std::to_string(random.below(words)));
    counter.add(terms);
  }
  return counter.finish();
}

TEST(Drift, ShiftsAreFound) {
  const std::vector<double> old = normal(1, 50, 0);
  const Shift shift = shift_of(old, normal(2, 30, 1.5));
  EXPECT_NEAR(shift.effect, 1.5, 0.5);
  EXPECT_LT(shift.p, 0.002);
  EXPECT_LT(shift_of(normal(2, 30, 1.5), old).effect, -1);
  EXPECT_EQ(shift_of(old, old).p, 1);
  EXPECT_EQ(shift_of(old, std::vector<double>{3}).effect, 0);
  const std::vector<double> one(20, 1.0), two(20, 2.0);
  EXPECT_EQ(shift_of(one, two).effect, 10);
  EXPECT_LT(shift_of(one, two).p, 0.002);
}

// Five measures of 50 and 30 samples of the same kind, 200 times. Both conditions together keep the
// share of false alarms far below 1 %.
TEST(Drift, SmallSetsOfOneKindGiveNoAlarm) {
  int alarms = 0;
  for (std::int64_t run = 0; run < 200; ++run) {
    std::vector<Shift> shifts;
    std::vector<double> p;
    for (std::int64_t measure = 0; measure < 5; ++measure) {
      const std::int64_t seed = run * 10 + measure;
      shifts.push_back(shift_of(normal(seed, 50, 0), normal(seed + 100000, 30, 0)));
      p.push_back(shifts.back().p);
    }
    p = holm(p);
    for (std::size_t i = 0; i < p.size(); ++i) {
      alarms += p[i] < kRareShift && std::abs(shifts[i].effect) >= kLargeShift;
    }
  }
  EXPECT_LE(alarms, 1);
}

TEST(Drift, HolmCorrectsInOrder) {
  const std::vector<double> p = holm({0.01, 0.04, 0.03, 0.5});
  const std::vector<double> expected = {0.04, 0.09, 0.09, 0.5};
  for (std::size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], expected[i], 1e-12);
}

TEST(Drift, DivergenceIsBetweenNothingAndAll) {
  const Terms a = words(1, 40, 10, "a"), b = words(2, 40, 10, "b");
  EXPECT_EQ(divergence(a, a), 0);
  EXPECT_NEAR(divergence(a, b), 1, 1e-12);
  EXPECT_NEAR(divergence(a, b), divergence(b, a), 1e-12);
  EXPECT_EQ(divergence({}, {}), 0);
  EXPECT_EQ(divergence(a, {}), 1);
}

TEST(Drift, RepeatedAndRareTermsAreCountedOnce) {
  TermCounter counter(1);
  counter.add({"b", "a", "b"});
  EXPECT_EQ(counter.finish().samples, (std::map<std::string, std::int64_t>{{"a", 1}, {"b", 1}}));
  const Terms many = words(3, 4000, 5000, "w");
  EXPECT_EQ(many.samples.size(), 2000u);
  EXPECT_GT(many.rest, 0);
}

TEST(Drift, ChanceExplainsSetsOfOneKindOnly) {
  int beyond = 0;
  for (std::int64_t seed = 0; seed < 40; ++seed) {
    const Terms old = words(seed, 50, 30, "w"), fresh = words(seed + 1000, 30, 30, "w");
    beyond += divergence(old, fresh) > likely_divergence(old, 50, 30);
    EXPECT_GT(divergence(old, words(seed, 30, 60, "w")), likely_divergence(old, 50, 30));
  }
  EXPECT_LE(beyond, 3);
}

}  // namespace
}  // namespace lora
