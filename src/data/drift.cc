// SPDX-License-Identifier: Apache-2.0
#include "data/drift.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/shuffle.h"

namespace lora {
namespace {

constexpr int kShuffles = 1000, kHalvings = 100;
constexpr std::size_t kTerms = 2000, kNoiseSamples = 1000;

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double squares(std::span<const double> values) {
  const double middle = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - middle) * (value - middle);
  return sum;
}

using Counts = std::map<std::string, std::int64_t>;

double total(const Terms& terms) {
  double sum = static_cast<double>(terms.rest);
  for (const auto& [term, count] : terms.samples) sum += static_cast<double>(count);
  return sum;
}

// p log2(p / m), the two halves of a Jensen-Shannon divergence.
double half_divergence(double p, double q) {
  return p > 0 ? 0.5 * p * std::log2(2 * p / (p + q)) : 0;
}

// The commonest terms; the others go to `rest`. Of equally common ones the first by name stay.
Terms cut(const Counts& counts) {
  std::vector<std::pair<std::int64_t, const std::string*>> order;
  for (const auto& [term, count] : counts) order.emplace_back(-count, &term);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Terms terms;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i < kTerms) {
      terms.samples[*order[i].second] = -order[i].first;
    } else {
      terms.rest -= order[i].first;
    }
  }
  return terms;
}

}  // namespace

Shift shift_of(std::span<const double> old, std::span<const double> fresh) {
  if (old.size() < 2 || fresh.size() < 2) return {};
  const double difference = mean(fresh) - mean(old);
  if (difference == 0) return {};
  const double freedom = static_cast<double>(old.size() + fresh.size() - 2);
  const double deviation = std::sqrt((squares(old) + squares(fresh)) / freedom);
  Shift shift;
  shift.effect = std::clamp(difference / std::max(deviation, 1e-12), -10.0, 10.0);
  std::vector<double> all(old.begin(), old.end());
  all.insert(all.end(), fresh.begin(), fresh.end());
  const auto size = static_cast<double>(fresh.size());
  const double sum = mean(all) * static_cast<double>(all.size());
  const double rest = static_cast<double>(old.size());
  Random random(0, "drift", 0);
  int as_far = 1;
  for (int i = 0; i < kShuffles; ++i) {
    double drawn = 0;
    for (std::size_t k = 0; k < fresh.size(); ++k) {
      std::swap(all[k], all[k + random.below(all.size() - k)]);
      drawn += all[k];
    }
    as_far += std::abs(drawn / size - (sum - drawn) / rest) >= std::abs(difference) * (1 - 1e-9);
  }
  shift.p = static_cast<double>(as_far) / (kShuffles + 1);
  return shift;
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> out(p.size());
  double last = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    last = std::max(last, std::min(1.0, p[order[i]] * static_cast<double>(order.size() - i)));
    out[order[i]] = last;
  }
  return out;
}

TermCounter::TermCounter(std::size_t samples)
    : step_(std::max<std::size_t>(1, samples / kNoiseSamples)) {}

void TermCounter::add(std::vector<std::string> terms) {
  std::ranges::sort(terms);
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
  for (const std::string& term : terms) ++counts_[term];
  if (added_++ % step_ == 0) kept_.push_back(std::move(terms));
}

Terms TermCounter::finish() const {
  Terms terms = cut(counts_);
  terms.noise = noise();
  return terms;
}

// The largest divergence of random halves of the kept samples, times half the size of one: the
// divergence of two samples of one kind falls as 1/n + 1/m with their sizes n and m.
double TermCounter::noise() const {
  std::vector<std::size_t> order(kept_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::size_t half = order.size() / 2;
  double largest = 0;
  for (int halving = 0; half > 0 && halving < kHalvings; ++halving) {
    shuffle(order, Random(0, "halves", halving));
    Counts counts[2];
    for (std::size_t i = 0; i < 2 * half; ++i) {
      for (const std::string& term : kept_[order[i]]) ++counts[i < half][term];
    }
    largest = std::max(largest, divergence(cut(counts[0]), cut(counts[1])));
  }
  return largest * static_cast<double>(half) / 2;
}

double divergence(const Terms& a, const Terms& b) {
  const double all_a = total(a), all_b = total(b);
  if (all_a == 0 || all_b == 0) return all_a == all_b ? 0 : 1;
  const auto share = [](const Terms& terms, const std::string& term, double all) {
    const auto found = terms.samples.find(term);
    return found == terms.samples.end() ? 0 : static_cast<double>(found->second) / all;
  };
  const double rest_a = static_cast<double>(a.rest) / all_a;
  const double rest_b = static_cast<double>(b.rest) / all_b;
  double sum = half_divergence(rest_a, rest_b) + half_divergence(rest_b, rest_a);
  for (const auto& [term, count] : a.samples) {
    sum += half_divergence(static_cast<double>(count) / all_a, share(b, term, all_b));
  }
  for (const auto& [term, count] : b.samples) {
    sum += half_divergence(static_cast<double>(count) / all_b, share(a, term, all_a));
  }
  return std::clamp(sum, 0.0, 1.0);
}

double likely_divergence(const Terms& old, std::int64_t old_samples, std::int64_t fresh_samples) {
  const auto part = [](std::int64_t n) { return 1 / std::max(1.0, static_cast<double>(n)); };
  return old.noise * (part(old_samples) + part(fresh_samples));
}

}  // namespace lora
