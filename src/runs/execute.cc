// SPDX-License-Identifier: Apache-2.0
#include "runs/execute.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/reading.h"
#include "base/text.h"
#include "nn/new_adapter.h"
#include "runs/publish.h"
#include "runs/warm_start.h"
#include "train/adapter_parameters.h"
#include "train/checkpoint.h"
#include "train/interrupt.h"
#include "versions/running.h"

namespace lora {
namespace {

// Adapters into the model: the parent's, or new ones.
void start_adapter(RunPlan& plan) {
  if (!plan.parent) return create_adapters(plan.config.adapter, plan.config.seed, plan.targets);
  info("warm start: " +
       attach_parent(plan.config, *plan.parent, plan.task->layers(), plan.targets));
  const auto old_loss = check_probe(*plan.parent, plan.machine.precision, *plan.task);
  // The loss of a diffusion model hardly differs between pictures it knows and others of the kind.
  if (!old_loss || is_image_task(plan.config)) return;
  plan.checks.push_back(novelty(plan.facts, *old_loss, plan.task->probe("").loss));
  const CheckResult& check = plan.checks.back();
  if (check.verdict != Verdict::ok) warn(check.id + ": " + check.message);
}

// Of everything that must not change between start and resume.
std::string fingerprint(const RunPlan& plan) {
  std::string text = resolved_yaml(plan.config) + plan.base.sha256 + plan.base.tokenizer_sha256 +
                     sha256(plan.task->data_manifest()) +
                     at::toString(plan.machine.precision.dtype);
  if (plan.parent) text += plan.parent->file_sha256;
  return sha256(text);
}

// A run writes below its folder only: what it goes on in may have come from somewhere else.
void refuse_links(const Path& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_symlink() || lies_in(entry.path(), folder)) continue;
    fail_usage(entry.path().string(), ": is a link out of the run's folder (found in ",
               folder.string(), "); put the files themselves there");
  }
}

// Makes the folder of a new run; that of an old one is there.
Path reserved(const Path& folder, bool resume) {
  reserve_folder(folder, resume);
  refuse_links(folder);
  std::filesystem::create_directories(folder / "logs");
  return folder;
}

// The version's folder is this run's as long as this lives.
class RunFolder {
 public:
  explicit RunFolder(const RunPlan& plan)
      : running_(reserved(plan.config.output_dir, plan.request.resume), plan.steps) {
    const Path folder = plan.config.output_dir;
    if (!plan.request.resume) {
      write_file_atomic(folder / "config.resolved.yaml", resolved_yaml(plan.config));
    }
    log_to_file(folder / "logs" / "train.log");
  }
  ~RunFolder() { log_to_file({}); }
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  RunningRun& running() { return running_; }

 private:
  RunningRun running_;
};

TrainResult train(RunPlan& plan, RunningRun& running) {
  Trainer trainer(
      {.config = plan.config,
       .objective = plan.task->objective(),
       .parameters = adapter_parameters(plan.task->learning(plan.targets), plan.task->name_head()),
       .precision = plan.machine.precision,
       .folder = plan.config.output_dir,
       .fingerprint = fingerprint(plan),
       .running = &running});
  TrainResult result = trainer.run(plan.request.resume);
  if (result.interrupted) running.interrupted(result.steps);
  return result;
}

std::string loss_change(const TrainResult& result) {
  if (result.validation_before && result.validation_after) {
    return fmt::format("validation loss {:.4f} -> {:.4f}", *result.validation_before,
                       *result.validation_after);
  }
  return fmt::format("loss {:.4f} -> {:.4f}", result.loss_first, result.loss_last);
}

std::vector<std::string> outcome_lines(const RunPlan& plan, const RunOutcome& outcome) {
  const TrainResult& result = outcome.result;
  if (!outcome.version) {
    return {fmt::format("interrupted at step {}; go on with: {}", result.steps,
                        plan.request.resume_command)};
  }
  const double speed = result.seconds > 0 ? static_cast<double>(result.units) / result.seconds : 0;
  std::vector<std::string> lines = {
      fmt::format("{}: {} steps in {}, {}, {:.0f} {}/s", outcome.version->name, result.steps,
                  human_seconds(result.seconds), loss_change(result), speed, result.unit),
      "files: " + plan.config.output_dir};
  if (const std::string caution = dora_caution(plan); !caution.empty()) lines.push_back(caution);
  if (!is_image_task(plan.config)) {
    lines.push_back(fmt::format("next: lora generate --base {} --version {} --prompt \"...\"",
                                plan.config.base_model, plan.config.output_dir));
  }
  return lines;
}

}  // namespace

RunOutcome execute(RunPlan& plan) {
  require_passed(plan.checks);
  require_free(plan.config.output_dir, plan.request.resume);  // before what takes time
  plan.task->start();
  reading([&] { start_adapter(plan); });
  const InterruptScope interrupts;  // until the version is there
  RunFolder folder(plan);
  RunOutcome outcome{.result = train(plan, folder.running())};
  if (!outcome.result.interrupted) {
    folder.running().require_folder();
    outcome.version = publish_run(plan, outcome.result);
    remove_checkpoint(outcome.result.checkpoint);  // it was there for this moment only
  }
  for (const std::string& line : outcome_lines(plan, outcome)) info(line);
  return outcome;
}

nlohmann::json outcome_json(const RunPlan& plan, const RunOutcome& outcome) {
  const TrainResult& result = outcome.result;
  const Version& version = outcome.version.value();
  nlohmann::json json = {
      {"version", version.name}, {"id", version.id},        {"folder", plan.config.output_dir},
      {"steps", result.steps},   {"epochs", result.epochs}, {"seconds", result.seconds},
      {"units", result.units},   {"unit", result.unit},     {"metrics", version.metrics}};
  if (result.best_step) json["best_step"] = *result.best_step;
  json["stopped_early"] = result.stopped_early;
  return json;
}

}  // namespace lora
