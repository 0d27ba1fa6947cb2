// SPDX-License-Identifier: Apache-2.0
// Source: yields batches for ever (epoch after epoch), can save and restore its position exactly.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "data/batch.h"

namespace lora {

class TextSource {
 public:
  virtual ~TextSource() = default;
  // The next batch; never ends. Order depends only on the seed.
  virtual TextBatch next() = 0;
  // Position after the last batch handed out; restore() makes next() go on from there.
  virtual nlohmann::json state() const = 0;
  virtual void restore(const nlohmann::json& state) = 0;
  // Batches of one epoch, and epochs completed so far (1.5 = in the middle of the second).
  virtual std::int64_t batches_per_epoch() const = 0;
  virtual double epoch() const = 0;
};

}  // namespace lora
