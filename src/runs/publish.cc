// SPDX-License-Identifier: Apache-2.0
#include "runs/publish.h"

#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/about.h"
#include "base/error.h"
#include "base/log.h"
#include "io/aten.h"
#include "runs/adapter_version.h"

namespace lora {
namespace {

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

AdapterFile finished_adapter(const FinishedRun& run) {
  AdapterFile adapter = detach(run.targets, run.task.kind());
  adapter.use_rslora = run.config.adapter.use_rslora.value_or(false);
  adapter.use_dora = run.config.adapter.use_dora.value_or(false);
  adapter.dropout = run.config.adapter.lora_dropout.value_or(0);
  adapter.base_model = run.config.base_model;
  for (const AdapterModule& module : adapter.modules) {
    const bool finite =
        at::isfinite(module.a).all().item<bool>() && at::isfinite(module.b).all().item<bool>();
    if (!finite) {
      fail("adapter: module '", module.path, "' is not finite after training; nothing was saved. ",
           "Try a lower learning_rate or mixed_precision: no");
    }
  }
  return adapter;
}

RecipeRecord recipe_of(const Config& config, const TrainResult& result, double passes) {
  return {.peak_learning_rate = config.optimisation.learning_rate.value(),
          .optimizer = config.optimisation.optimizer,
          .schedule = config.optimisation.lr_scheduler,
          .retain = config.increment.retain,
          .precision = config.machine.mixed_precision,
          .epochs = passes,
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

RunRecord run_of(const FinishedRun& run) {
  return {.created = utc_now(),
          .tool_version = std::string(tool_version()),
          .git_commit = std::string(git_commit()),
          .host = host_name(),
          .device = run.device.str(),
          .threads = run.threads,
          .steps = run.result.steps,
          .wall_seconds = run.result.seconds};
}

void link_parent(Version& version, const std::optional<ParentVersion>& parent) {
  if (!parent) return;
  ParentLink link{.name = parent->located.name,
                  .file_sha256 = sha256_file(parent->located.weights)};
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

Version publish_run(FinishedRun run) {
  const Path folder = run.config.output_dir;
  const AdapterFile adapter = finished_adapter(run);
  run.task.write_adapter(folder, adapter);
  const Probe probe = run.task.probe("");
  auto probe_json = nlohmann::json::parse(probe.json);
  probe_json["loss"] = probe.loss;
  probe_json["dtype"] = at::toString(run.precision.dtype);
  write_file_atomic(folder / "probe.json", probe_json.dump(1) + "\n");
  write_file_atomic(folder / "config.yaml", run.given_yaml);
  write_file_atomic(folder / "config.resolved.yaml", resolved_yaml(run.config));
  write_file_atomic(folder / "data_manifest.tsv", run.task.data_manifest());
  write_file_atomic(folder / kStatsName, stats_json(run.task.data_stats()));

  Version version;
  version.name = (folder / "").parent_path().filename().string();
  version.task_type = run.config.task_type;
  version.run = run_of(run);
  version.weights = weights_record(adapter);
  version.weights.targets = run.config.adapter.target_modules;
  version.weights.rank = run.config.adapter.lora_rank.value();
  version.weights.alpha = run.config.adapter.lora_alpha.value();
  version.weights.rank_pattern = run.config.adapter.rank_pattern;
  version.weights.alpha_pattern = run.config.adapter.alpha_pattern;
  version.base = run.base;
  run.task.describe(version);
  version.run.samples_seen =
      std::llround(run.result.epochs *
                   static_cast<double>(version.data.new_samples + version.data.replay_samples));
  version.recipe = recipe_of(run.config, run.result, run.result.epochs);
  version.preflight = run.checks;
  link_parent(version, run.parent);
  add_metrics(version, run.result, probe.loss);
  return publish(folder, std::move(version));
}

}  // namespace lora
