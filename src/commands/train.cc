// SPDX-License-Identifier: Apache-2.0
// config -> parent -> data and model -> preflight -> warm start -> training -> version.
#include "commands/train.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/reading.h"
#include "base/text.h"
#include "commands/cli.h"
#include "models/models.h"
#include "nn/new_adapter.h"
#include "runs/publish.h"
#include "runs/warm_start.h"
#include "train/adapter_parameters.h"
#include "train/threads.h"
#include "versions/hash_base.h"

namespace lora {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  bool check = false, resume = false, json = false;
};

Options parse(const Arguments& arguments) {
  Options options;
  CLI::App app;
  app.add_option("--config", options.config)->required();
  app.add_flag("--check", options.check);
  app.add_flag("--resume", options.resume);
  app.add_flag("--json", options.json);
  app.add_option("overrides", options.overrides);
  parse_arguments(app, "train", arguments);
  return options;
}

// Everything that stands before the first step.
struct Prepared {
  Config given, config;  // as written; with every setting set
  std::optional<ParentVersion> parent;
  int threads = 0;
  at::Device device = at::Device(at::kCPU);
  Precision precision;
  std::unique_ptr<TrainTask> task;
  std::vector<NamedLayer> targets;
  BaseRecord base;
  PreflightInput facts;
  std::vector<CheckResult> checks;
};

std::unique_ptr<TrainTask> make_task(const TaskSetup& setup) {
  return is_image_task(setup.config) ? make_image_task(setup) : make_text_task(setup);
}

// Its data and modules could not even be read.
void require_same_kind(const Config& config, const ParentVersion& parent) {
  PreflightInput input{.config = config};
  input.parent = ParentFacts{.name = parent.located.name, .manifest = parent.located.version};
  require_passed(run_check("W10", input));
}

std::int64_t trainable_numbers(const std::vector<NamedLayer>& targets, const Config& config) {
  std::int64_t numbers = 0;
  for (const NamedLayer& target : targets) {
    const Layer& layer = *target.layer;
    const std::int64_t rank = adapter_size(config, target.name).rank;
    numbers += rank * (layer.weight[0].numel() + layer.out_features());
    if (config.adapter.use_dora.value_or(false)) numbers += layer.out_features();
  }
  return numbers;
}

void run_checks_of(Prepared& run) {
  PreflightInput& input = run.facts;
  input.config = run.given;
  if (run.parent) input.parent = parent_facts(*run.parent);
  input.places.emplace();
  for (const NamedLayer& target : run.targets) input.places->push_back(target.name);
  input.base = run.base;
  input.trainable = trainable_numbers(run.targets, run.config);
  input.total_steps = total_steps(run.config, run.task->objective());
  run.task->add_facts(input);
  run.checks = run_preflight(input);
}

Prepared prepare(const Options& options) {
  Prepared run;
  run.given = load_config(options.config, options.overrides);
  run.config = run.given;
  run.parent = find_parent(run.given);
  if (run.parent) {
    require_same_kind(run.given, *run.parent);
    std::optional<double> peak;
    if (run.parent->located.version) {
      peak = run.parent->located.version->recipe.peak_learning_rate;
    }
    inherit(run.config, run.parent->weights, peak);
  }
  if (run.config.adapter.target_modules.empty() && !is_image_task(run.config)) {
    run.config.adapter.target_modules = default_targets(run.config.base_model);
  }
  fill_defaults(run.config);
  run.threads = set_threads(static_cast<int>(run.config.machine.threads));
  run.device = choose_device(run.config.machine.device);
  run.precision = choose_precision(run.config.machine.mixed_precision, run.device, cpu_features());
  HashCache cache(hash_cache_file(output_root(run.config)));
  run.base = describe_base(run.config.base_model, cache);
  cache.save();
  run.task = make_task({run.config, run.parent, run.precision, run.device});
  if (run.parent) check_parent_kind(*run.parent, run.task->layers());
  run.targets = target_layers(run.config, run.task->layers());
  run_checks_of(run);
  return run;
}

void report(const Prepared& run) {
  for (const std::string& line : run.task->report()) info(line);
  info(
      fmt::format("machine: {}, {} threads; {}", run.device.str(), run.threads, run.precision.why));
  info(fmt::format("adapter: {} modules, {} trainable numbers, rank {}, alpha {}",
                   run.targets.size(), trainable_numbers(run.targets, run.config),
                   run.config.adapter.lora_rank.value(), run.config.adapter.lora_alpha.value()));
  info(fmt::format("plan: {} steps of {} x {}, learning rate {:g} ({})",
                   total_steps(run.config, run.task->objective()), run.config.length.batch_size,
                   run.config.length.gradient_accumulation_steps,
                   run.config.optimisation.learning_rate.value(),
                   run.config.optimisation.lr_scheduler));
  info(preflight_text(run.checks));
}

void print_checks(const Prepared& run) {
  nlohmann::json checks = nlohmann::json::array();
  for (const CheckResult& check : run.checks) {
    checks.push_back(
        {{"id", check.id}, {"verdict", verdict_name(check.verdict)}, {"message", check.message}});
  }
  const bool passed = std::ranges::none_of(
      run.checks, [](const CheckResult& check) { return check.verdict == Verdict::error; });
  const nlohmann::json report = {{"passed", passed},
                                 {"steps", total_steps(run.config, run.task->objective())},
                                 {"trainable", trainable_numbers(run.targets, run.config)},
                                 {"checks", checks}};
  fmt::print("{}\n", report.dump(1));
}

// Throws Error where the run may not start.
void require_ready(const Prepared& run, const Options& options) {
  if (options.check && options.json) print_checks(run);
  require_passed(run.checks);
  require_free(run.config.output_dir, options.resume);
  if (options.check && !options.json) {
    fmt::print("check passed: {} checks; start without --check to train\n", run.checks.size());
  }
}

// Adapters into the model: the parent's, or new ones.
void start_adapter(Prepared& run) {
  if (!run.parent) return create_adapters(run.config, run.targets);
  info("warm start: " + attach_parent(run.config, *run.parent, run.task->layers(), run.targets));
  const auto old_loss = check_probe(*run.parent, run.precision, *run.task);
  // The loss of a diffusion model hardly differs between pictures it knows and others of the kind.
  if (!old_loss || is_image_task(run.config)) return;
  run.checks.push_back(novelty(run.facts, *old_loss, run.task->probe("").loss));
  const CheckResult& check = run.checks.back();
  if (check.verdict != Verdict::ok) warn(check.id + ": " + check.message);
}

std::string fingerprint(const Prepared& run) {
  std::string text = resolved_yaml(run.config) + run.base.sha256 + run.base.tokenizer_sha256 +
                     sha256(run.task->data_manifest()) + at::toString(run.precision.dtype);
  if (run.parent) text += sha256_file(run.parent->located.weights);
  return sha256(text);
}

std::string loss_change(const TrainResult& result) {
  if (result.validation_before && result.validation_after) {
    return fmt::format("validation loss {:.4f} -> {:.4f}", *result.validation_before,
                       *result.validation_after);
  }
  return fmt::format("loss {:.4f} -> {:.4f}", result.loss_first, result.loss_last);
}

void summarise(const Version& version, const Prepared& run, const TrainResult& result) {
  const double speed = result.seconds > 0 ? static_cast<double>(result.units) / result.seconds : 0;
  info(fmt::format("{}: {} steps in {}, {}, {:.0f} {}/s", version.name, result.steps,
                   human_seconds(result.seconds), loss_change(result), speed, result.unit));
  info("files: " + run.config.output_dir);
  if (is_image_task(run.config)) return;
  info(fmt::format("next: lora generate --base {} --version {} --prompt \"...\"",
                   run.config.base_model, run.config.output_dir));
}

nlohmann::json result_json(const Version& version, const TrainResult& result,
                           const std::string& folder) {
  nlohmann::json json = {
      {"version", version.name}, {"id", version.id},        {"folder", folder},
      {"steps", result.steps},   {"epochs", result.epochs}, {"seconds", result.seconds},
      {"units", result.units},   {"unit", result.unit},     {"metrics", version.metrics}};
  if (result.best_step) json["best_step"] = *result.best_step;
  json["stopped_early"] = result.stopped_early;
  return json;
}

std::string resume_command(const Options& options) {
  std::string command = "lora train --config " + options.config;
  for (const std::string& pair : options.overrides) command += " '" + pair + "'";
  return command + " --resume";
}

}  // namespace

int run_train(const Arguments& arguments) {
  const Options options = parse(arguments);
  Prepared run = reading([&] { return prepare(options); });
  const Path folder = run.config.output_dir;
  report(run);
  require_ready(run, options);
  if (options.check) return 0;
  run.task->start();
  reading([&] { start_adapter(run); });
  reserve_folder(folder, options.resume);
  std::filesystem::create_directories(folder / "logs");
  log_to_file(folder / "logs" / "train.log");
  Trainer trainer(
      {.config = run.config,
       .objective = run.task->objective(),
       .parameters = adapter_parameters(run.task->learning(run.targets), run.task->name_head()),
       .precision = run.precision,
       .folder = folder,
       .fingerprint = fingerprint(run)});
  const TrainResult result = trainer.run(options.resume);
  if (result.interrupted) {
    info(fmt::format("interrupted at step {}; go on with: {}", result.steps,
                     resume_command(options)));
    return static_cast<int>(Exit::interrupted);
  }
  const Version version = publish_run({.config = run.config,
                                       .given_yaml = read_file(options.config),
                                       .task = *run.task,
                                       .parent = run.parent,
                                       .targets = run.targets,
                                       .base = run.base,
                                       .checks = check_records(run.checks),
                                       .precision = run.precision,
                                       .device = run.device,
                                       .threads = run.threads,
                                       .result = result});
  summarise(version, run, result);
  log_to_file({});
  if (options.json) fmt::print("{}\n", result_json(version, result, folder.string()).dump(1));
  return 0;
}

}  // namespace lora
