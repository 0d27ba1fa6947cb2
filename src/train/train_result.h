// SPDX-License-Identifier: Apache-2.0
// What a run was, once it ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/files.h"

namespace lora {

struct TrainResult {
  std::int64_t steps = 0;
  double epochs = 0;
  double seconds = 0;  // training steps only, earlier parts of a resumed run included
  std::int64_t units = 0;
  std::string unit;                      // "tokens", "images"
  double loss_first = 0, loss_last = 0;  // training loss: first log line, mean of the last ten
  std::optional<double> validation_before, validation_after;  // after: of the adapter that is kept
  std::optional<std::int64_t> best_step;                      // where the best adapter was kept
  bool stopped_early = false;
  bool interrupted = false;
  Path checkpoint;  // of an interrupted run; of a finished one: its last state
};

}  // namespace lora
