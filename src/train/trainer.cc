// SPDX-License-Identifier: Apache-2.0
// The loop. What its steps need besides is in trainer_parts.cc.
#include "train/trainer.h"

#include <cmath>

#include "base/error.h"
#include "io/aten.h"
#include "nn/layer.h"
#include "train/interrupt.h"
#include "train/step.h"

namespace lora {

struct Trainer::Window : StepSum {
  double units = 0;  // tokens or images
  std::vector<std::string> batches;
};

TrainResult Trainer::run(bool resume) {
  const InterruptScope interrupts;
  objective_.shard(world_.rank(), world_.size());
  resume ? resume_from_newest() : begin();
  while (!watch_.over(step_)) {
    meter_.resume();
    const double rate = learning_rate();
    const Window window = accumulate();
    const at::Tensor norm =
        divide_and_clip(pool_, window.count, scaler_, config_.optimisation.max_grad_norm);
    if (!finite(window, norm)) continue;  // float16 only: a smaller loss scale, the same step again
    optimizer_->step(pool_, rate);
    ++step_;
    meter_.add(window.loss, window.count, static_cast<std::int64_t>(window.units));
    if (every(config_.watch.logging_steps) || step_ == watch_.budget()) {
      keep_steps([&] { log_step(rate, norm); });
    }
    meter_.pause();

    if (step_ == watch_.budget()) finished_ = save(kAllCheckpoints);
    if (watch_.due(step_, epoch_ended_)) validate();
    if (watch_.over(step_)) break;
    if (every(config_.sampling.sample_every)) keep_steps([&] { sample(); });
    const bool stop = world_.any(interrupt_requested());
    if (stop || every(config_.watch.save_steps)) {
      const Path path = save(config_.watch.keep_checkpoints);
      if (stop) return stopped(path);
    }
  }
  if (finished_.empty()) finished_ = save(kAllCheckpoints);  // stopped early
  return finish();
}

// Forward and backward of the micro-batches of one step; gradients are sums, not means, over all
// processes.
Trainer::Window Trainer::accumulate() {
  const TrainingMode training(true);
  Window window;
  pool_.zero_gradients();
  epoch_ended_ = false;
  const double epoch = std::floor(objective_.epoch());
  for (std::int64_t i = 0; i < config_.length.gradient_accumulation_steps && !epoch_ended_; ++i) {
    add_micro_batch(window, objective_.next(), scaler_);
    window.units += static_cast<double>(objective_.last_units());
    window.batches.push_back(objective_.describe_last());
    epoch_ended_ = std::floor(objective_.epoch()) > epoch;
  }
  world_.sum({pool_.gradients(), window.loss}, {&window.count, &window.units});
  return window;
}

// A device is asked only when a line is logged anyway, or before a checkpoint could be written.
bool Trainer::finite(const Window& window, const at::Tensor& norm) {
  const bool look = pool_.values().is_cpu() || scaler_.enabled() ||
                    (step_ + 1) % config_.watch.logging_steps == 0 ||
                    step_ + 1 == watch_.budget() || interrupt_requested() ||
                    (config_.watch.save_steps > 0 && (step_ + 1) % config_.watch.save_steps == 0);
  if (!look) return true;
  const double loss = window.loss.item<double>();
  const bool good = std::isfinite(loss) && std::isfinite(norm.item<double>());
  if (scaler_.enabled()) return scaler_.update(good);
  if (good) return true;
  std::string batches;
  for (const std::string& batch : window.batches) batches += (batches.empty() ? "" : "; ") + batch;
  fail("step ", step_ + 1, ": the ", std::isfinite(loss) ? "gradient" : "loss",
       " is not finite (batch: ", batches,
       "); no adapter was saved. Try a lower learning_rate (now ", learning_rate(),
       "), a smaller max_grad_norm, mixed_precision: no, or look at these samples");
}

}  // namespace lora
