// SPDX-License-Identifier: Apache-2.0
#include "runs/publish.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/about.h"
#include "base/error.h"
#include "base/log.h"
#include "io/adapters/algebra.h"
#include "io/adapters/target_names.h"
#include "runs/adapter_version.h"
#include "versions/running.h"

namespace lora {
namespace {

std::vector<std::string> paths_of(const AdapterFile& adapter) {
  std::vector<std::string> paths;
  for (const AdapterModule& module : adapter.modules) paths.push_back(module.path);
  return paths;
}

std::vector<std::string> layer_names(TrainTask& task) {
  std::vector<std::string> names;
  for (const NamedLayer& layer : task.layers()) names.push_back(layer.name);
  return names;
}

AdapterFile finished_adapter(const RunPlan& plan) {
  const AdapterConfig& config = plan.config.adapter;
  AdapterFile adapter = detach(plan.targets, plan.task->kind());
  adapter.use_rslora = config.use_rslora.value_or(false);
  adapter.use_dora = config.use_dora.value_or(false);
  adapter.dropout = config.lora_dropout.value_or(0);
  adapter.base_model = plan.config.base_model;
  adapter.target_modules = exact_targets(paths_of(adapter), layer_names(*plan.task));
  for (const AdapterModule& module : adapter.modules) {
    if (!is_finite(module)) {
      fail("adapter: module '", module.path, "' is not finite after training; nothing was saved. ",
           "Try a lower learning_rate or mixed_precision: no");
    }
  }
  return adapter;
}

RecipeRecord recipe_of(const Config& config, const TrainResult& result) {
  return {.peak_learning_rate = config.optimisation.learning_rate.value(),
          .optimizer = config.optimisation.optimizer,
          .schedule = config.optimisation.lr_scheduler,
          .retain = config.increment.retain,
          .precision = config.machine.mixed_precision,
          .epochs = result.epochs,
          .warmup_steps = warmup_steps_of(config, result.steps),
          .batch_size = config.length.batch_size,
          .accumulation = config.length.gradient_accumulation_steps,
          .seed = config.seed,
          .replay = config.increment.replay,
          .loraplus_ratio = config.optimisation.loraplus_lr_ratio,
          .weight_decay = config.optimisation.weight_decay,
          .max_seq_length = config.text.max_seq_length,
          .resolution = config.images.resolution,
          .clip_skip = config.images.clip_skip};
}

RunRecord run_of(const Machine& machine, const TrainResult& result) {
  return {.created = utc_now(),
          .tool_version = std::string(tool_version()),
          .git_commit = std::string(git_commit()),
          .host = host_name(),
          .device = machine.device.str(),
          .threads = machine.threads,
          .steps = result.steps,
          .wall_seconds = result.seconds};
}

void link_parent(Version& version, const std::optional<ParentVersion>& parent) {
  if (!parent) return;
  ParentLink link{.name = parent->located.name,
                  .file_sha256 = parent->file_sha256};
  version.lineage = "unknown";
  if (parent->located.version) {
    link.id = parent->located.version->id;
    version.number = parent->located.version->number + 1;
    version.lineage = "known";
  }
  version.parents = {link};
}

void add_metrics(Version& version, const TrainResult& result, double probe_loss) {
  version.metrics["loss_first"] = result.loss_first;
  version.metrics["loss"] = result.loss_last;
  version.metrics["probe_loss"] = probe_loss;
  if (result.validation_before) {
    version.metrics["validation_loss_before"] = *result.validation_before;
  }
  if (result.validation_after) version.metrics["validation_loss"] = *result.validation_after;
  if (result.seconds > 0) {
    version.metrics[result.unit + "_per_s"] = static_cast<double>(result.units) / result.seconds;
  }
}

}  // namespace

Version publish_run(const RunPlan& plan, const TrainResult& result) {
  const Config& config = plan.config;
  TrainTask& task = *plan.task;
  const Path folder = config.output_dir;
  const AdapterFile adapter = finished_adapter(plan);
  task.write_adapter(folder, adapter);
  const Probe probe = task.probe("");
  auto probe_json = nlohmann::json::parse(probe.json);  // made just now, no text from outside
  probe_json["loss"] = probe.loss;
  probe_json["dtype"] = at::toString(plan.machine.precision.dtype);
  write_file_atomic(folder / "probe.json", probe_json.dump(1) + "\n");
  write_file_atomic(folder / "config.yaml", plan.request.yaml);
  write_file_atomic(folder / "config.resolved.yaml", resolved_yaml(config));
  write_file_atomic(folder / "data_manifest.tsv", task.data_manifest());
  write_file_atomic(folder / kStatsName, stats_json(task.data_stats()));

  Version version;
  version.name = name_of(folder);
  version.task_type = config.task_type;
  version.run = run_of(plan.machine, result);
  version.weights = weights_record(adapter);
  version.weights.targets = config.adapter.target_modules;
  version.weights.rank = config.adapter.lora_rank.value();
  version.weights.alpha = config.adapter.lora_alpha.value();
  version.weights.rank_pattern = config.adapter.rank_pattern;
  version.weights.alpha_pattern = config.adapter.alpha_pattern;
  version.base = plan.base;
  task.describe(version);
  version.run.samples_seen = std::llround(
      result.epochs * static_cast<double>(version.data.new_samples + version.data.replay_samples));
  version.recipe = recipe_of(config, result);
  version.preflight = check_records(plan.checks);
  link_parent(version, plan.parent);
  add_metrics(version, result, probe.loss);
  return publish(folder, std::move(version));
}

}  // namespace lora
