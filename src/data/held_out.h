// SPDX-License-Identifier: Apache-2.0
// Samples that are set apart, of texts and pictures alike: those kept for validation, and the few
// by whose loss a version is recognised.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/image_dataset.h"
#include "data/text_dataset.h"

namespace lora {

// Throws Error (usage), naming `key`, where `count` samples cannot be divided.
void require_two_to_divide(std::string_view key, std::size_t count);

// Of each of `count` samples: whether it is kept for validation. At least one is, and never all;
// which ones depends on the seed. Throws Error (usage) where there are fewer than two.
std::vector<bool> held_out(std::size_t count, double share, std::int64_t seed);

// Moves those samples to a set of their own; the others keep their order. Samples of one record
// stay together.
TextSamples take_validation(TextSamples& from, double share, std::int64_t seed);
std::vector<ImageRecord> take_validation(std::vector<ImageRecord>& from, double share,
                                         std::int64_t seed);

// The samples of a probe: the first four kept for validation, else trained on.
template <typename Sample>
std::vector<Sample> probe_samples(const std::vector<Sample>& validation,
                                  const std::vector<Sample>& trained) {
  const std::vector<Sample>& from = validation.empty() ? trained : validation;
  const std::size_t count = std::min<std::size_t>(4, from.size());
  return {from.begin(), from.begin() + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace lora
