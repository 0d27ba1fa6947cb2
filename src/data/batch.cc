// SPDX-License-Identifier: Apache-2.0
#include "data/batch.h"

namespace lora {

std::int64_t TextBatch::targets() const {
  std::int64_t count = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t t = 1; t < length; ++t) {
      count += labels[static_cast<std::size_t>(row * length + t)] != kIgnore;
    }
  }
  return count;
}

}  // namespace lora
