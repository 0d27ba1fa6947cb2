// SPDX-License-Identifier: Apache-2.0
// `lora bench`: real training steps of a randomly initialised model of a known size. What the
// kinds (text, image) share: options, adapters, the timed loop and the report.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "models/model.h"
#include "train/machine.h"
#include "train/optimizers.h"

namespace lora {

int run_bench(const Arguments& arguments);  // the first word names the kind
int bench_text(const Arguments& arguments);
int bench_image(const Arguments& arguments);

constexpr std::int64_t kBenchRank = 8;

struct BenchOptions {
  // Sets threads and the random seed.
  explicit BenchOptions(const CommandLine& line);
  at::ScalarType type() const;

  std::string preset, dtype, targets;
  std::int64_t batch = 0, steps = 0;
  Machine machine;  // of `--device` and `--threads`; nothing else is asked of it
  bool checkpointing = false, plain = false, json = false;
};

// New adapters of rank 8 on the layers that `targets` names: target_modules with commas. Throws
// Error (usage) as target_layers does.
std::vector<Parameter> bench_adapters(Network& model, const std::string& targets, double alpha);

// Seconds by the clock and of all threads' CPU time, without the first step unless it is the only
// one. On a machine that others use, CPU time says more than the clock.
struct BenchRun {
  std::vector<double> seconds, cpu_seconds;
  double loss = 0;  // of the last step
};
// Steps of training (step.h) with AdamW and clipping; `next`: the forward pass of a step.
BenchRun timed_steps(ParameterPool& pool, const BenchOptions& options,
                     const std::function<Loss()>& next);

// Times, machine, options, memory.
nlohmann::json bench_report(const BenchOptions& options, const BenchRun& run,
                            std::int64_t parameters);
// Prints JSON or, for people: machine, "PRESET (N parameters), DTYPE, `work`, LoRA ...", step,
// `speed`, memory.
void print_report(const BenchOptions& options, const nlohmann::json& report,
                  const std::string& work, const std::string& speed);

// Seconds of timed steps -> {"step_s" (median), "best_s", "steps"}.
nlohmann::json step_times(std::vector<double> seconds);
// Processor, threads, build and library versions of this program.
nlohmann::json machine_facts();
// Lines for people: the machine, and a warning where the program is not optimised.
std::string machine_text(const nlohmann::json& facts);

}  // namespace lora
