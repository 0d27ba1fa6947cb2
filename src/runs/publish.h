// SPDX-License-Identifier: Apache-2.0
// The files of a finished run: adapter, configuration copies, data manifest, probe, version.json.
#pragma once

#include "runs/plan.h"
#include "train/train_result.h"

namespace lora {

// Writes everything into config.output_dir and commits the version. Throws Error, also for an
// adapter that is not finite.
Version publish_run(const RunPlan& plan, const TrainResult& result);

}  // namespace lora
