// SPDX-License-Identifier: Apache-2.0
// The training loop, for text and images alike.
//
// One optimizer step: the losses of `gradient_accumulation_steps` micro-batches (fewer at the end
// of an epoch, so that (batch 8, accumulation 1) equals (batch 1, accumulation 8)) are summed, the
// gradients divided once by the number of targets, clipped, applied. Numbers as transformers 5.12
// with PEFT 0.20 (tests/llm/trajectory_test.cc).
#pragma once

#include <functional>
#include <memory>

#include "base/draft.h"
#include "config/config.h"
#include "train/checkpoint.h"
#include "train/meter.h"
#include "train/objective.h"
#include "train/optimizers.h"
#include "train/precision.h"
#include "train/run_log.h"
#include "train/schedules.h"
#include "train/train_result.h"
#include "train/watch.h"
#include "train/world.h"
#include "versions/running.h"

namespace lora {

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
  World world = {};
  RunningRun* running = nullptr;  // told how far the run is; absent in benches and tests
};

class Trainer {
 public:
  explicit Trainer(TrainerSetup setup);

  // Trains to the end, or until SIGINT, SIGTERM or SIGHUP. A checkpoint is saved then, and after
  // the last step before anything else begins (result.checkpoint). With `resume` it
  // goes on from the newest checkpoint of `folder`, or from the first step where the run ended
  // before it had one. On return the parameters hold the result:
  // the best adapter where keep_best says so, else the last.
  // Throws Error for a loss or gradient that is not finite: nothing is saved then; and where the
  // disk is full, once the state is saved in the space that was kept for it.
  TrainResult run(bool resume);

 private:
  struct Window;  // what one optimizer step has seen

  void begin();
  void resume_from_newest();
  void open_log(std::int64_t last_step);
  double learning_rate() const;
  Window accumulate();
  bool finite(const Window& window, const at::Tensor& norm);
  void log_step(double rate, const at::Tensor& norm);
  void validate();
  void sample();
  void keep_room();
  void keep_steps(const std::function<void()>& work);
  [[noreturn]] void save_in_room(const std::string& problem);
  Checkpoint checkpoint();
  Path save(std::int64_t keep);
  bool every(std::int64_t interval) const { return interval > 0 && step_ % interval == 0; }
  TrainResult finish();
  void last_sample();
  TrainResult result() const;
  TrainResult stopped(const Path& checkpoint) const;

  const Config& config_;
  Objective& objective_;
  World world_;
  RunningRun* running_;
  ParameterPool pool_;
  std::unique_ptr<Optimizer> optimizer_;
  LossScaler scaler_;
  ScheduleSpan schedule_;
  Meter meter_;
  Watch watch_;
  std::unique_ptr<RunLog> log_;  // of the process that writes
  Path folder_;
  std::string fingerprint_;

  std::int64_t step_ = 0;
  bool epoch_ended_ = false;
  Path finished_;  // the checkpoint after the last step
  TensorMap best_;  // the adapter that the watch said to keep
  std::unique_ptr<DraftFile> room_;  // space for one checkpoint, until the last one is written
};

}  // namespace lora
