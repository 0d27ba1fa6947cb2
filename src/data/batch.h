// SPDX-License-Identifier: Apache-2.0
// What a text source yields. B rows, T positions.
#pragma once

#include <cstdint>
#include <vector>

namespace lora {

inline constexpr std::int64_t kIgnore = -100;  // a label that is not a target

// Row-major [B, T]. Labels are not shifted: the loss at position t compares logits[t] with
// labels[t + 1]. Targets never cross a document: the first label of every document is kIgnore.
struct TextBatch {
  std::int64_t rows = 0, length = 0;
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> labels;
  std::vector<std::int64_t> positions;  // restart at 0 in every document
  std::vector<std::int64_t> documents;  // 1, 1, .., 2, 2, ..; 0 = padding
};

// One tokenised sample.
struct TextSample {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> labels;  // same length, kIgnore where masked
};

}  // namespace lora
