// SPDX-License-Identifier: Apache-2.0
// The training loop, for text and images alike.
//
// One optimizer step: the losses of `gradient_accumulation_steps` micro-batches (fewer at the end
// of an epoch, so that (batch 8, accumulation 1) equals (batch 1, accumulation 8)) are summed, the
// gradients divided once by the number of targets, clipped, applied. Numbers as transformers 5.12
// with PEFT 0.20 (tests/llm/trajectory_test.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "config/config.h"
#include "train/meter.h"
#include "train/objective.h"
#include "train/optimizers.h"
#include "train/precision.h"
#include "train/run_log.h"

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
  Path checkpoint;  // of an interrupted run
};

// Optimizer steps of the run: max_steps, or the steps of `epochs`.
std::int64_t total_steps(const Config& config, const Objective& objective);
// Epochs of the run: those asked for, or those that max_steps makes.
double total_epochs(const Config& config, const Objective& objective);

struct TrainerSetup {
  const Config& config;  // learning_rate is set (fill_defaults, or the parent's)
  Objective& objective;
  std::vector<Parameter> parameters;  // rates and decays of the groups are set here
  Precision precision;
  Path folder;              // of the version: logs/, samples/ and checkpoints/ are made inside
  std::string fingerprint;  // of everything that must not change between start and resume
};

class Trainer {
 public:
  explicit Trainer(TrainerSetup setup);

  // Trains to the end, or until SIGINT or SIGTERM (then a checkpoint is saved). With `resume` it
  // goes on from the newest checkpoint of `folder`, or from the first step where the run ended
  // before it had one. On return the parameters hold the result:
  // the best adapter where keep_best says so, else the last.
  // Throws Error for a loss or gradient that is not finite: nothing is saved then.
  TrainResult run(bool resume);

 private:
  struct Window {     // what one optimizer step has seen
    at::Tensor loss;  // sum, detached
    double count = 0;
    std::int64_t units = 0;
    std::vector<std::string> batches;
  };

  void begin();
  void resume_from_newest();
  double learning_rate() const;
  Window accumulate();
  at::Tensor divide_and_clip(const Window& window);
  bool finite(const Window& window, const at::Tensor& norm);
  void log_step(double rate, const at::Tensor& norm);
  void validate();
  void sample();
  Path save();
  bool every(std::int64_t interval) const { return interval > 0 && step_ % interval == 0; }
  bool validation_due() const;
  void keep_if_best(double loss);
  TrainResult finish();
  TrainResult result() const;

  const Config& config_;
  Objective& objective_;
  ParameterPool pool_;
  std::unique_ptr<Optimizer> optimizer_;
  LossScaler scaler_;
  Meter meter_;
  std::unique_ptr<RunLog> log_;
  Path folder_;
  std::string fingerprint_;
  at::Device device_;

  std::int64_t step_ = 0, total_ = 0, warmup_ = 0;
  bool epoch_ended_ = false, stop_ = false;
  std::optional<double> validation_before_, validation_last_, best_loss_;
  std::int64_t validated_at_ = -1, best_step_ = 0, bad_validations_ = 0;
  TensorMap best_;
};

}  // namespace lora
