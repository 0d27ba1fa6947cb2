// SPDX-License-Identifier: Apache-2.0
// The files of a finished run: adapter, configuration copies, data manifest, probe, version.json.
#pragma once

#include <string>
#include <vector>

#include "runs/train_task.h"
#include "train/trainer.h"

namespace lora {

struct FinishedRun {
  const Config& config;    // every setting set
  std::string given_yaml;  // the file as the user wrote it
  TrainTask& task;
  const std::optional<ParentVersion>& parent;
  std::vector<NamedLayer> targets;  // layers that carry the adapter
  BaseRecord base;
  std::vector<CheckRecord> checks;
  Precision precision;
  at::Device device;
  int threads = 0;
  TrainResult result;
};

// Writes everything into config.output_dir and commits the version. Throws Error, also for an
// adapter that is not finite.
Version publish_run(FinishedRun run);

}  // namespace lora
