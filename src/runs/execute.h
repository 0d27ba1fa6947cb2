// SPDX-License-Identifier: Apache-2.0
// A planned run, carried out: warm start or new adapter, training, the version's commit.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "runs/plan.h"
#include "train/trainer.h"

namespace lora {

struct RunOutcome {
  TrainResult result;
  std::optional<Version> version;  // as committed; absent: interrupted
};

// Progress and, at the end, what came out ("v1: 150 steps in 12 s, loss 3.1 -> 0.4, 900 tokens/s",
// or how to go on) go to stderr, to logs/train.log, logs/metrics.jsonl and TensorBoard's files of
// the version's folder: who watches a run reads these. Throws Error where a check has failed or the
// folder was taken meanwhile, where the parent is not reproduced, and where a number is not finite
// (no version then).
RunOutcome execute(RunPlan& plan);

// {"version", "id", "folder", "steps", "epochs", "seconds", "units", "unit", "metrics",
// "best_step" (where one was kept), "stopped_early"} of a committed version.
nlohmann::json outcome_json(const RunPlan& plan, const RunOutcome& outcome);

}  // namespace lora
