// SPDX-License-Identifier: Apache-2.0
// `lora bench`: real training steps of a randomly initialised model of a known size.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "commands/commands.h"

namespace lora {

int run_bench(const Arguments& arguments);  // the first word names the kind
int bench_text(const Arguments& arguments);
int bench_image(const Arguments& arguments);

// Seconds of timed steps -> {"step_s" (median), "best_s", "steps"}.
nlohmann::json step_times(std::vector<double> seconds);
// Processor, threads, build and library versions of this program.
nlohmann::json machine_facts();
// Lines for people: the machine, and a warning where the program is not optimised.
std::string machine_text(const nlohmann::json& facts);

}  // namespace lora
