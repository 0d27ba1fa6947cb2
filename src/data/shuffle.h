// SPDX-License-Identifier: Apache-2.0
// Random order that is the same with every compiler and standard library: std::shuffle and the
// distributions of <random> are not.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace lora {

// SplitMix64 (Steele, Lea and Flood 2014), started from a seed, a purpose and a number.
class Random {
 public:
  Random(std::int64_t seed, std::string_view purpose, std::int64_t number)
      : state_(static_cast<std::uint64_t>(seed)) {
    for (const char c : purpose) state_ = next() ^ static_cast<unsigned char>(c);
    state_ = next() ^ static_cast<std::uint64_t>(number);
  }

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  // 0 <= result < size; the bias of the remainder is below size / 2^64.
  std::size_t below(std::size_t size) { return static_cast<std::size_t>(next() % size); }

 private:
  std::uint64_t state_;
};

// Fisher-Yates.
template <typename T>
void shuffle(std::vector<T>& items, Random random) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

}  // namespace lora
