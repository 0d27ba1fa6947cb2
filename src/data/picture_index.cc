// SPDX-License-Identifier: Apache-2.0
#include "data/picture_index.h"

#include <algorithm>

namespace lora {
namespace {

// Bits that differ fall into at most kLikeBits bands, so one band of like pictures is equal.
constexpr int kBands = kLikeBits + 1, kBandBits = (64 + kBands - 1) / kBands;

std::uint64_t band(std::uint64_t hash, int number) {
  const std::uint64_t bits = hash >> (number * kBandBits) & ((1U << kBandBits) - 1);
  return static_cast<std::uint64_t>(number) << 32 | bits;
}

}  // namespace

std::optional<std::size_t> PictureIndex::find(const PictureMark& mark) const {
  std::optional<std::size_t> first;
  for (int i = 0; i < kBands; ++i) {
    const auto found = bands_.find(band(mark.hash, i));
    if (found == bands_.end()) continue;
    const auto like = std::ranges::find_if(
        found->second, [&](std::size_t number) { return looks_alike(mark, marks_[number]); });
    if (like != found->second.end()) first = std::min(first.value_or(*like), *like);
  }
  return first;
}

void PictureIndex::add(const PictureMark& mark) {
  for (int i = 0; i < kBands; ++i) bands_[band(mark.hash, i)].push_back(marks_.size());
  marks_.push_back(mark);
}

}  // namespace lora
