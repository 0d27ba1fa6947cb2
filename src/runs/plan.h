// SPDX-License-Identifier: Apache-2.0
// A run before its first step: parent, machine, data, model and the verdicts of the checks. Nothing
// is written but the cache of hashes (output/.versions/hashcache.json).
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runs/train_task.h"

namespace lora {

struct RunRequest {
  Config config;               // of load_config
  std::string yaml;            // the file as the user wrote it, kept with the version
  std::string resume_command;  // said where the run is interrupted
  bool resume = false;         // go on from its newest checkpoint
};

struct RunPlan {
  RunRequest request;
  Config config;  // with every setting set: the parent's, else the default
  std::optional<ParentVersion> parent;
  Machine machine;
  BaseRecord base;
  // Data and model, without an adapter yet; absent where a check has failed that needs neither.
  std::unique_ptr<TrainTask> task;
  std::vector<NamedLayer> targets;  // layers of the model that get one
  std::int64_t steps = 0;           // optimizer steps
  std::int64_t trainable = 0;       // numbers
  PreflightInput facts;
  std::vector<CheckResult> checks;  // of `facts`
};

// Sets the threads. Where the run cannot have its folder, or not this parent, nothing else is
// looked at. Throws Error for what cannot be read or does not belong together; what a check finds
// stands in `checks` instead.
RunPlan plan_run(RunRequest request);

// For people: data, model, machine, adapter, steps (where the task is there), checks.
std::vector<std::string> plan_lines(const RunPlan& plan);
// What the WebUI file of a DoRA adapter is not good for; "" where there is none.
std::string dora_caution(const RunPlan& plan);
// {"passed", "steps", "trainable" (both where the task is there), "checks": [{"id", "verdict",
// "message"}]}
nlohmann::json plan_json(const RunPlan& plan);

}  // namespace lora
