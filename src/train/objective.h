// SPDX-License-Identifier: Apache-2.0
// What is trained, seen from the loop: the loss of the next micro-batch, and a position that can
// be saved and restored. Text and images each implement it (text_objective, image_objective).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/model.h"

namespace lora {

// The loss on one fixed set of samples.
struct Validation {
  std::string name;  // that of the new data is kWatched (watch.h)
  Loss loss;         // count 0: no samples
};

class Objective {
 public:
  virtual ~Objective() = default;
  // Draws the next micro-batch and runs the model forward. Order depends only on the seed.
  virtual Loss next() = 0;
  // Positions or samples handled by the last next(), for the speed meter ("tokens" or "images").
  virtual std::int64_t last_units() const = 0;
  virtual std::string unit() const = 0;
  // What the last batch was, for the message about a non-finite loss ("samples 3, 17, 20").
  virtual std::string describe_last() const = 0;

  // Of several processes, this one takes every size-th micro-batch, from the rank-th on. Before the
  // first next(); 0 <= rank < size.
  virtual void shard(std::int64_t rank, std::int64_t size) = 0;
  virtual double epoch() const = 0;
  // Micro-batches of that epoch, from 0: it may vary from epoch to epoch.
  virtual std::int64_t micro_batches_of(std::int64_t epoch) const = 0;
  virtual nlohmann::json state() const = 0;  // position and random generators
  virtual void restore(const nlohmann::json& state) = 0;

  // The losses on the validation sets, under the same names every time. No graph.
  virtual std::vector<Validation> validate() = 0;
  // Makes samples (texts or pictures) into `folder`; returns lines for TensorBoard's text panel.
  // A line that is the path of a PNG file is shown as a picture.
  virtual std::vector<std::string> sample(const Path& folder, std::int64_t step) = 0;
};

}  // namespace lora
