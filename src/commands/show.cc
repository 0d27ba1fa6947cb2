// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/shown.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "versions/lineage.h"
#include "versions/report.h"
#include "versions/store.h"

namespace lora {
namespace {

void line(std::string_view name, const std::string& value) {
  if (!value.empty()) say(fmt::format("{:<14}{}", name, shown(value)));
}

// "v4 <- v2 + v3 <- v1 (its folder is not here)": a generation between arrows.
std::string lineage_text(const Version& version, const Path& root) {
  std::string text;
  int generation = 0;
  for (const Ancestor& ancestor : ancestry(version, root)) {
    if (!text.empty()) text += ancestor.generation > generation ? " <- " : " + ";
    generation = ancestor.generation;
    text += ancestor.name;
    const std::string& reason =
        ancestor.found.problem.empty() ? ancestor.found.absent : ancestor.found.problem;
    if (!reason.empty()) text += " (" + reason + ")";
  }
  return version.parents.empty() ? "" : text;
}

void print_adapter(const WeightsRecord& weights) {
  std::string text = fmt::format("rank {}, alpha {}, {} modules", weights.rank, weights.alpha,
                                 weights.ranks.size());
  if (weights.rslora) text += ", rsLoRA";
  if (weights.dora) text += ", DoRA";
  line("adapter", text);
  line("targets", join_words(weights.targets));
}

void print_recipe(const Version& version) {
  const RecipeRecord& recipe = version.recipe;
  line("recipe",
       fmt::format("{} {:.3g}, {}, {} steps, {:.4g} epochs, batch {} x {}, seed {}",
                   recipe.optimizer, recipe.peak_learning_rate, recipe.schedule, version.run.steps,
                   recipe.epochs, recipe.batch_size, recipe.accumulation, recipe.seed));
  line("data", fmt::format("{} new samples, {} replayed (replay {})", version.data.new_samples,
                           version.data.replay_samples, recipe.replay));
}

void print_version(const Version& version, const Path& root) {
  line("version", version.name);
  line("id", version.id);
  line("task", version.task_type);
  line("lineage", lineage_text(version, root));
  line("created", version.run.created);
  print_adapter(version.weights);
  print_recipe(version);
  line("base", fmt::format("{} ({})", version.base.path, version.base.sha256.substr(0, 12)));
  line("template", version.prompt_template.name);
  for (const auto& [name, value] : version.metrics) {
    line("metric", fmt::format("{} = {:.6g}", name, value));
  }
  for (const CheckRecord& check : version.preflight) {
    if (check.verdict != "ok") line(check.id, check.verdict + ": " + check.message);
  }
  line("machine", fmt::format("{}, {} threads, {}", version.run.device, version.run.threads,
                              human_seconds(version.run.wall_seconds)));
}

}  // namespace

int run_show(const Arguments& arguments) {
  const CommandLine line("show", arguments);
  const std::string name = line.text("version");
  const LocatedVersion found = locate_version(name, line.text("--root"));
  if (!found.version) {
    fail_usage("lora show: ", name, ": no version (found an adapter without ", kManifestName,
               "); `lora inspect ", name, "` describes it");
  }
  if (line.given("--json")) {
    say_json(version_report(found.folder));
  } else {
    print_version(*found.version, root_of(found.folder));
  }
  return 0;
}

}  // namespace lora
