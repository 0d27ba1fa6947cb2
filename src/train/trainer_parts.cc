// SPDX-License-Identifier: Apache-2.0
// What the loop of trainer.cc calls: start and end of a run, logging, validation, checkpoints.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "io/aten.h"
#include "nn/layer.h"
#include "train/checkpoint.h"
#include "train/schedules.h"
#include "train/trainer.h"

namespace lora {
namespace {

// The text encoders follow the same schedule at a peak of their own.
void apply_text_encoder_rate(std::vector<Parameter>& parameters, const Config& config) {
  const double peak = config.optimisation.learning_rate.value();
  if (peak <= 0) {
    fail_usage("text_encoder_lr: is a share of learning_rate (found ", peak,
               ", expected more than 0); choose a learning_rate such as 1e-7");
  }
  for (Parameter& parameter : parameters) {
    if (!parameter.name.starts_with("text_encoder")) continue;
    parameter.lr_multiplier *= *config.optimisation.text_encoder_lr / peak;
  }
}

std::vector<Parameter> grouped(const Config& config, std::vector<Parameter> parameters) {
  for (Parameter& parameter : parameters) parameter.weight_decay = config.optimisation.weight_decay;
  if (config.optimisation.text_encoder_lr) apply_text_encoder_rate(parameters, config);
  if (config.optimisation.loraplus_lr_ratio != 1)
    apply_loraplus(parameters, config.optimisation.loraplus_lr_ratio);
  return parameters;
}

// Markdown shows a block that is indented by four blanks as it stands.
std::string as_code(const std::string& text) {
  std::string code;
  for (const std::string& line : split(text, '\n')) code += "    " + line + "\n";
  return code;
}

nlohmann::json optional_json(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

std::optional<double> optional_number(const nlohmann::json& value) {
  if (value.is_null()) return {};
  return value.get<double>();
}

// Optimizer steps of one epoch; none goes on into the next.
std::int64_t steps_of(const Config& config, const Objective& objective, std::int64_t epoch) {
  const std::int64_t accumulation = config.length.gradient_accumulation_steps;
  return (objective.micro_batches_of(epoch) + accumulation - 1) / accumulation;
}

}  // namespace

std::int64_t total_steps(const Config& config, const Objective& objective) {
  if (config.length.max_steps) return *config.length.max_steps;
  const double epochs = config.length.epochs.value_or(1);
  const auto whole = static_cast<std::int64_t>(epochs);
  std::int64_t steps = 0;
  for (std::int64_t e = 0; e < whole; ++e) steps += steps_of(config, objective, e);
  const double part = epochs - static_cast<double>(whole);
  if (part > 0) {
    const auto last = static_cast<double>(steps_of(config, objective, whole));
    steps += static_cast<std::int64_t>(std::ceil(part * last - 1e-9));
  }
  return std::max<std::int64_t>(1, steps);
}

double total_epochs(const Config& config, const Objective& objective) {
  if (config.length.epochs) return *config.length.epochs;
  std::int64_t left = total_steps(config, objective), epoch = 0;
  for (; left >= steps_of(config, objective, epoch); ++epoch) {
    left -= steps_of(config, objective, epoch);
  }
  return static_cast<double>(epoch) +
         static_cast<double>(left) / static_cast<double>(steps_of(config, objective, epoch));
}

Trainer::Trainer(TrainerSetup setup)
    : config_(setup.config),
      objective_(setup.objective),
      pool_(grouped(setup.config, std::move(setup.parameters))),
      optimizer_(make_optimizer(config_.optimisation.optimizer,
                                {.beta1 = config_.optimisation.adam_beta1,
                                 .beta2 = config_.optimisation.adam_beta2,
                                 .epsilon = config_.optimisation.adam_epsilon,
                                 .momentum = config_.optimisation.momentum})),
      scaler_(setup.precision.scaled, config_.machine.loss_scale),
      folder_(std::move(setup.folder)),
      fingerprint_(std::move(setup.fingerprint)),
      device_(pool_.values().device()),
      total_(total_steps(config_, objective_)),
      warmup_(warmup_steps_of(config_, total_)) {}

void Trainer::begin() {
  at::manual_seed(static_cast<std::uint64_t>(config_.seed));
  log_ = std::make_unique<RunLog>(folder_ / "logs", total_, -1, objective_.unit());
  log_->text("config", 0, as_code(resolved_yaml(config_)));
  validate();
  validation_before_ = validation_last_;
  sample();
}

double Trainer::learning_rate() const {
  const double peak = config_.optimisation.learning_rate.value();
  const ScheduleSpan span{.warmup = warmup_,
                          .total = total_,
                          .cycles = static_cast<double>(config_.optimisation.lr_scheduler_cycles),
                          .power = config_.optimisation.lr_scheduler_power,
                          .minimum = config_.optimisation.lr_min_ratio,
                          .peak = peak};
  return peak * schedule_factor(config_.optimisation.lr_scheduler, span, step_);
}

void Trainer::log_step(double rate, const at::Tensor& norm) {
  log_->step(step_, meter_.read(), rate, norm.item<double>(), objective_.epoch());
}

bool Trainer::validation_due() const {
  return config_.watch.eval_steps > 0 ? every(config_.watch.eval_steps) : epoch_ended_;
}

void Trainer::validate() {
  const RandomScope random(device_);
  const TrainingMode evaluating(false);
  const at::NoGradGuard no_grad;
  const Loss loss = objective_.validate();
  if (loss.count == 0) return;
  validation_last_ = loss.sum.item<double>() / loss.count;
  validated_at_ = step_;
  log_->validation(step_, *validation_last_);
  if (!std::isfinite(*validation_last_)) {
    fail("step ", step_, ": the validation loss is not finite; no adapter was saved. Try a lower ",
         "learning_rate or mixed_precision: no");
  }
  if (step_ > 0) keep_if_best(*validation_last_);
}

void Trainer::keep_if_best(double loss) {
  if (!best_loss_ || loss < *best_loss_ - config_.watch.early_stopping_threshold) {
    best_loss_ = loss;
    best_step_ = step_;
    bad_validations_ = 0;
    if (config_.watch.keep_best.value_or(config_.watch.early_stopping)) best_ = pool_.snapshot();
    return;
  }
  ++bad_validations_;
  if (!config_.watch.early_stopping || bad_validations_ < config_.watch.early_stopping_patience)
    return;
  stop_ = true;
  info(fmt::format("step {}: no better validation loss {} times; stopped early", step_,
                   bad_validations_));
}

void Trainer::sample() {
  if (config_.sampling.sample_prompts.empty()) return;
  const RandomScope random(device_);
  const TrainingMode evaluating(false);
  const at::NoGradGuard no_grad;
  log_->samples(step_, objective_.sample(folder_ / "samples", step_));
}

Path Trainer::save() {
  Checkpoint checkpoint{.step = step_,
                        .weights = pool_.snapshot(),
                        .optimizer = optimizer_->state(pool_),
                        .best = best_};
  save_random_state(checkpoint.optimizer, device_);
  checkpoint.state = nlohmann::json({{"format", 1},
                                     {"step", step_},
                                     {"total_steps", total_},
                                     {"fingerprint", fingerprint_},
                                     {"objective", objective_.state()},
                                     {"scaler", scaler_.state()},
                                     {"meter", meter_.state()},
                                     {"validation_before", optional_json(validation_before_)},
                                     {"validation_last", optional_json(validation_last_)},
                                     {"validated_at", validated_at_},
                                     {"best_loss", optional_json(best_loss_)},
                                     {"best_step", best_step_},
                                     {"bad_validations", bad_validations_}})
                         .dump(1);
  const Path path =
      save_checkpoint(folder_ / "checkpoints", checkpoint, config_.watch.keep_checkpoints);
  info("step " + std::to_string(step_) + ": saved " + path.string());
  return path;
}

void Trainer::resume_from_newest() {
  const auto path = newest_checkpoint(folder_ / "checkpoints");
  if (!path) {
    info(folder_.string() +
         ": the run ended before its first checkpoint; it starts from the first "
         "step");
    return begin();
  }
  Checkpoint checkpoint = load_checkpoint(*path);
  const auto state = nlohmann::json::parse(checkpoint.state);
  if (state.at("fingerprint") != fingerprint_) {
    fail_usage(path->string(),
               ": the configuration, base model or data changed since this checkpoint; resume with "
               "the ones it was started with, or train a new version");
  }
  const std::string where = path->string();
  pool_.restore(checkpoint.weights, where);
  restore_random_state(checkpoint.optimizer, device_, where);
  checkpoint.optimizer.erase("random.cpu");
  checkpoint.optimizer.erase("random.device");
  optimizer_->restore(pool_, checkpoint.optimizer, where);
  best_ = std::move(checkpoint.best);
  objective_.restore(state.at("objective"));
  scaler_.restore(state.at("scaler"));
  meter_.restore(state.at("meter"));
  step_ = checkpoint.step;
  validation_before_ = optional_number(state.at("validation_before"));
  validation_last_ = optional_number(state.at("validation_last"));
  validated_at_ = state.at("validated_at").get<std::int64_t>();
  best_loss_ = optional_number(state.at("best_loss"));
  best_step_ = state.at("best_step").get<std::int64_t>();
  bad_validations_ = state.at("bad_validations").get<std::int64_t>();
  log_ = std::make_unique<RunLog>(folder_ / "logs", total_, step_, objective_.unit());
  info(fmt::format("resumed from {} at step {} of {}", where, step_, total_));
}

TrainResult Trainer::finish() {
  if (validated_at_ != step_ && !stop_) validate();
  if (!best_.empty()) {
    pool_.restore(best_, "best adapter");
    validation_last_ = best_loss_;
  }
  if (best_step_ != step_ || !every(config_.sampling.sample_every)) sample();
  return result();
}

TrainResult Trainer::result() const {
  TrainResult result{.steps = step_,
                     .epochs = objective_.epoch(),
                     .seconds = meter_.seconds(),
                     .units = meter_.units(),
                     .unit = objective_.unit(),
                     .loss_first = meter_.first_loss(),
                     .loss_last = meter_.last_loss(),
                     .validation_before = validation_before_,
                     .validation_after = validation_last_,
                     .stopped_early = stop_};
  if (!best_.empty()) result.best_step = best_step_;
  return result;
}

}  // namespace lora
