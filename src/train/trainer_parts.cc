// SPDX-License-Identifier: Apache-2.0
// What the loop of trainer.cc calls: start and end of a run, logging, validation, checkpoints.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/text.h"
#include "io/aten.h"
#include "nn/layer.h"
#include "train/interrupt.h"
#include "train/schedules.h"
#include "train/trainer.h"

namespace lora {
namespace {

// The text encoders follow the same schedule at a peak of their own.
void apply_text_encoder_rate(std::vector<Parameter>& parameters, double own, double peak) {
  if (peak <= 0) {
    fail_usage("text_encoder_lr: is a share of learning_rate (found ", peak,
               ", expected more than 0); choose a learning_rate such as 1e-7");
  }
  for (Parameter& parameter : parameters) {
    if (parameter.name.starts_with("text_encoder")) parameter.lr_multiplier *= own / peak;
  }
}

std::vector<Parameter> grouped(const OptimisationConfig& settings,
                               std::vector<Parameter> parameters) {
  for (Parameter& parameter : parameters) parameter.weight_decay = settings.weight_decay;
  if (settings.text_encoder_lr) {
    apply_text_encoder_rate(parameters, *settings.text_encoder_lr, settings.learning_rate.value());
  }
  if (settings.loraplus_lr_ratio != 1) apply_loraplus(parameters, settings.loraplus_lr_ratio);
  return parameters;
}

ScheduleSpan schedule_of(const Config& config, std::int64_t total) {
  const OptimisationConfig& settings = config.optimisation;
  return {.warmup = warmup_steps_of(config, total),
          .total = total,
          .cycles = static_cast<double>(settings.lr_scheduler_cycles),
          .power = settings.lr_scheduler_power,
          .minimum = settings.lr_min_ratio,
          .peak = settings.learning_rate.value()};
}

// Markdown shows a block that is indented by four blanks as it stands.
std::string as_code(const std::string& text) {
  std::string code;
  for (const std::string& line : split(text, '\n')) code += "    " + line + "\n";
  return code;
}

// The loss of `step` is checked after it was logged, so that the log shows it.
void require_finite(std::int64_t step, const std::vector<NamedLoss>& losses) {
  for (const NamedLoss& named : losses) {
    if (std::isfinite(named.loss)) continue;
    fail("step ", step, ": the ", named.name, " loss is not finite; no adapter was saved. Try a ",
         "lower learning_rate or mixed_precision: no");
  }
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
      world_(setup.world),
      running_(setup.running),
      pool_(grouped(config_.optimisation, std::move(setup.parameters))),
      optimizer_(make_optimizer(config_.optimisation)),
      scaler_(setup.precision.scaled, config_.machine.loss_scale),
      schedule_(schedule_of(config_, total_steps(config_, objective_))),
      watch_(config_.watch, schedule_.total),
      folder_(std::move(setup.folder)),
      fingerprint_(std::move(setup.fingerprint)) {}

void Trainer::begin() {
  keep_room();
  at::manual_seed(static_cast<std::uint64_t>(config_.seed));
  world_.broadcast(pool_.values());
  open_log(-1);
  if (log_) log_->text("config", 0, as_code(resolved_yaml(config_)));
  validate();
  sample();
}

void Trainer::open_log(std::int64_t last_step) {
  if (running_ != nullptr) running_->progress(std::max<std::int64_t>(0, last_step));
  if (!world_.writes()) return;
  log_ = std::make_unique<RunLog>(folder_ / "logs", watch_.budget(), last_step, objective_.unit());
}

double Trainer::learning_rate() const {
  return schedule_.peak * schedule_factor(config_.optimisation.lr_scheduler, schedule_, step_);
}

void Trainer::log_step(double rate, const at::Tensor& norm) {
  if (running_ != nullptr) running_->progress(step_);
  if (!log_) return;
  log_->step(step_, meter_.read(), rate, norm.item<double>(), objective_.epoch());
}

void Trainer::validate() {
  const RandomScope random(pool_.values().device());
  const TrainingMode evaluating(false);
  const at::NoGradGuard no_grad;
  std::vector<NamedLoss> losses;
  for (auto& [name, loss] : objective_.validate()) {
    world_.sum({loss.sum}, {&loss.count});
    if (loss.count > 0) losses.push_back({name, loss.sum.item<double>() / loss.count});
  }
  if (losses.empty()) return;
  if (log_) keep_steps([&] { log_->validation(step_, losses); });
  require_finite(step_, losses);
  const Advice advice = watch_.tell(step_, losses);
  if (advice == Advice::keep) best_ = pool_.snapshot();
  if (advice == Advice::stop) {
    info(fmt::format("step {}: no better validation loss {} times; stopped early", step_,
                     watch_.worse_in_a_row()));
  }
}

void Trainer::sample() {
  if (config_.sampling.sample_prompts.empty()) return;
  if (log_) {
    const RandomScope random(pool_.values().device());
    const TrainingMode evaluating(false);
    const at::NoGradGuard no_grad;
    log_->samples(step_, objective_.sample(folder_ / "samples", step_));
  }
  world_.barrier();
}

// A disk that others fill meanwhile then costs no step. An optimizer holds two numbers for each
// trained one at most.
void Trainer::keep_room() {
  if (!world_.writes()) return;
  constexpr std::size_t kCopies = 4, kRest = 1 << 20;  // weights, optimizer, best; headers, state
  room_ = std::make_unique<DraftFile>(folder_ / "checkpoints/room for a checkpoint");
  room_->reserve(kCopies * pool_.values().nbytes() + kRest);
}

// What is only told or shown costs no step that was made.
void Trainer::keep_steps(const std::function<void()>& work) {
  std::string problem;
  try {
    return work();
  } catch (const std::exception& error) {
    if (step_ == 0 || !finished_.empty() || !world_.writes()) throw;
    problem = error.what();
  }
  save_in_room(problem.substr(0, problem.find('\n')));
}

// Where that is not possible either, the error is that of the saving.
void Trainer::save_in_room(const std::string& problem) {
  room_.reset();
  const Path path = save_checkpoint(folder_ / "checkpoints", checkpoint(), kAllCheckpoints);
  fail(problem, "; step ", step_, " is saved in ", path.string(),
       ": mend this and go on with --resume");
}

Checkpoint Trainer::checkpoint() {
  Checkpoint checkpoint{.step = step_,
                        .weights = pool_.snapshot(),
                        .optimizer = optimizer_->state(pool_),
                        .best = best_};
  save_random_state(checkpoint.optimizer, pool_.values().device());
  nlohmann::json state = watch_.state();
  state.update({{"format", 1},
                {"step", step_},
                {"total_steps", watch_.budget()},
                {"fingerprint", fingerprint_},
                {"objective", objective_.state()},
                {"scaler", scaler_.state()},
                {"meter", meter_.state()}});
  checkpoint.state = state.dump(1);
  return checkpoint;
}

Path Trainer::save(std::int64_t keep) {
  Path path;
  if (world_.writes()) {
    try {
      path = save_checkpoint(folder_ / "checkpoints", checkpoint(), keep);
    } catch (const Error& error) {
      if (!room_) throw;
      save_in_room(error.what());
    }
    info("step " + std::to_string(step_) + ": saved " + path.string());
  }
  world_.barrier();
  return path;
}

void Trainer::resume_from_newest() {
  if (world_.writes()) remove_dead_drafts(folder_ / "checkpoints");
  const auto path = newest_checkpoint(folder_ / "checkpoints");
  if (!path) {
    info(folder_.string() +
         ": the run ended before its first checkpoint; it starts from the first "
         "step");
    return begin();
  }
  Checkpoint checkpoint = load_checkpoint(*path);
  const std::string where = path->string();
  try {
    const auto state = parse_json<nlohmann::json>(checkpoint.state, where + "/state.json",
                                                  "remove it to resume from an older one");
    if (state.at("fingerprint") != fingerprint_) {
      fail_usage(where,
                 ": the configuration, base model or data changed since this checkpoint; resume "
                 "with the ones it was started with, or train a new version");
    }
    pool_.restore(checkpoint.weights, where);
    restore_random_state(checkpoint.optimizer, pool_.values().device(), where);
    checkpoint.optimizer.erase("random.cpu");
    checkpoint.optimizer.erase("random.device");
    optimizer_->restore(pool_, checkpoint.optimizer, where);
    best_ = std::move(checkpoint.best);
    objective_.restore(state.at("objective"));
    scaler_.restore(state.at("scaler"));
    meter_.restore(state.at("meter"));
    step_ = checkpoint.step;
    watch_.restore(state);
    if (watch_.over(step_)) finished_ = *path;
  } catch (const nlohmann::json::exception& error) {
    fail(where, "/state.json: not a checkpoint state (", error.what(), "); remove ", where,
         " to resume from an older one");
  }
  if (finished_.empty()) keep_room();
  open_log(step_);
  info(fmt::format("resumed from {} at step {} of {}", where, step_, watch_.budget()));
}

// The trained state is saved: a run that ends here goes on here.
TrainResult Trainer::finish() {
  room_.reset();  // publishing needs it
  if (watch_.owes(step_)) validate();
  if (world_.any(interrupt_requested())) return stopped(finished_);
  if (!best_.empty()) pool_.restore(best_, "best adapter");
  last_sample();
  if (world_.any(interrupt_requested())) return stopped(finished_);
  TrainResult finished = result();
  finished.checkpoint = finished_;
  return finished;
}

// What was trained is worth more than a look at it.
void Trainer::last_sample() {
  try {
    sample();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    warn("no samples of the result: " + text.substr(0, text.find('\n')));
  }
}

TrainResult Trainer::stopped(const Path& checkpoint) const {
  TrainResult stopped = result();
  stopped.interrupted = true;
  stopped.checkpoint = checkpoint;
  return stopped;
}

TrainResult Trainer::result() const {
  TrainResult result{.steps = step_,
                     .epochs = objective_.epoch(),
                     .seconds = meter_.seconds(),
                     .units = meter_.units(),
                     .unit = objective_.unit(),
                     .loss_first = meter_.first_loss(),
                     .loss_last = meter_.last_loss(),
                     .validation_before = watch_.first(),
                     .validation_after = best_.empty() ? watch_.last() : watch_.best(),
                     .stopped_early = watch_.stopped()};
  if (!best_.empty()) result.best_step = watch_.best_step();
  return result;
}

}  // namespace lora
