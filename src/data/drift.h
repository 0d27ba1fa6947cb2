// SPDX-License-Identifier: Apache-2.0
// Do two data sets differ, and by how much? Small sets (50 pictures against 30) are usual, and
// fixed thresholds on histograms (PSI > 0.1) fire there without any difference. So a difference
// counts only where it is large (standard deviations) and does not arise by chance (permutation
// test, Holm's correction); for words the chance is that between random halves of the old set.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace lora {

inline constexpr double kLargeShift = 0.8;  // standard deviations
inline constexpr double kRareShift = 0.01;  // p after Holm

struct Shift {
  double effect = 0;  // (mean of fresh - mean of old) / pooled deviation, within -10..10
  double p = 1;       // share of 1000 random divisions whose means differ at least as much
};
// Fewer than two values on a side: no shift. The same numbers give the same p.
Shift shift_of(std::span<const double> old, std::span<const double> fresh);

// Holm (1979): p values of several tests, corrected for their number, in the order given.
std::vector<double> holm(const std::vector<double>& p);

// What the samples of a set speak of: caption parts or words.
struct Terms {
  std::map<std::string, std::int64_t> samples;  // term -> samples that have it; the commonest 2000
  std::int64_t rest = 0;                        // counts of all others
  double noise = 0;                             // see likely_divergence
};

// Counts terms sample by sample, and measures their noise.
class TermCounter {
 public:
  explicit TermCounter(std::size_t samples);  // how many there will be
  // The terms of the next sample; repeated ones count once.
  void add(std::vector<std::string> terms);
  Terms finish() const;

 private:
  double noise() const;

  std::map<std::string, std::int64_t> counts_;
  std::size_t step_, added_ = 0;
  std::vector<std::vector<std::string>> kept_;  // every step-th sample
};

// Jensen-Shannon divergence of the two distributions of terms: 0 = the same, 1 = nothing common.
double divergence(const Terms& a, const Terms& b);

// The divergence that `fresh_samples` more samples of the old set's kind could have by chance: the
// largest of 100 random halvings of the old set, carried over to these sizes.
double likely_divergence(const Terms& old, std::int64_t old_samples, std::int64_t fresh_samples);

}  // namespace lora
