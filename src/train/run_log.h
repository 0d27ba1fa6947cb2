// SPDX-License-Identifier: Apache-2.0
// Everything a run writes down while it goes on: TensorBoard events and metrics.jsonl in logs/,
// the progress bar on stderr.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/progress.h"
#include "io/event_file.h"
#include "io/metrics_file.h"
#include "train/meter.h"
#include "train/watch.h"

namespace lora {

class RunLog {
 public:
  // `last_step`: -1 for a new run; else the step of the checkpoint that the run goes on from:
  // what earlier files say about later steps is dropped.
  RunLog(const Path& logs, std::int64_t total_steps, std::int64_t last_step, std::string unit);

  void step(std::int64_t step, const Reading& reading, double learning_rate, double gradient_norm,
            double epoch);
  // "NAME/loss" in TensorBoard, "NAME_loss" in one row of metrics.jsonl.
  void validation(std::int64_t step, const std::vector<NamedLoss>& losses);
  void text(const std::string& tag, std::int64_t step, const std::string& markdown);
  // Lines from Objective::sample: the path of a PNG file is shown as a picture, the rest as text.
  void samples(std::int64_t step, const std::vector<std::string>& lines);

 private:
  EventFile events_;
  MetricsFile metrics_;
  Progress progress_;
  std::string unit_;
};

}  // namespace lora
