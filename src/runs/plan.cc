// SPDX-License-Identifier: Apache-2.0
#include "runs/plan.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/adapters/adapter_writer.h"
#include "io/adapters/target_names.h"
#include "models/models.h"
#include "nn/new_adapter.h"
#include "runs/warm_start.h"
#include "train/trainer.h"
#include "versions/hash_base.h"

namespace lora {
namespace {

std::unique_ptr<TrainTask> make_task(const TaskSetup& setup) {
  return is_image_task(setup.config) ? make_image_task(setup) : make_text_task(setup);
}

FolderFacts folder_facts(const Path& folder, bool resume) {
  try {
    require_free(folder, resume);
    return {};
  } catch (const Error& error) {
    if (error.code() == Exit::failed) throw;  // it could not be looked at
    return {.refusal = error.what(), .code = error.code()};
  }
}

// What is known before data and model are read: those of a parent of the other kind could not be.
PreflightInput first_facts(const RunPlan& plan) {
  const RunRequest& request = plan.request;
  PreflightInput facts{.config = request.config,
                       .folder = folder_facts(request.config.output_dir, request.resume)};
  if (plan.parent) {
    const LocatedVersion& located = plan.parent->located;
    facts.parent = ParentFacts{
        .name = located.name, .weights = located.weights, .manifest = located.version};
  }
  return facts;
}

// What is absent takes the parent's value, else the default.
Config settled(const Config& given, const std::optional<ParentVersion>& parent) {
  Config config = given;
  if (parent) {
    std::optional<double> peak;
    if (parent->located.version) peak = parent->located.version->recipe.peak_learning_rate;
    inherit(config, parent->weights, peak);
    if (is_image_task(config) && adapts_both(parent->adapter)) {
      config.images.train_text_encoder = true;
    }
  }
  if (config.adapter.target_modules.empty() && !is_image_task(config)) {
    config.adapter.target_modules = default_targets(config.base_model);
  }
  fill_defaults(config);
  return config;
}

BaseRecord hashed_base(const Config& config) {
  HashCache cache(hash_cache_file(output_root(config)));
  BaseRecord base = describe_base(config.base_model, cache);
  cache.save();
  return base;
}

std::int64_t trainable_numbers(const std::vector<NamedLayer>& targets, const Config& config) {
  std::int64_t numbers = 0;
  for (const NamedLayer& target : targets) {
    const Layer& layer = *target.layer;
    const std::int64_t rank = adapter_size(config.adapter, target.name).rank;
    numbers += rank * (layer.weight.fan_in() + layer.out_features());
    if (config.adapter.use_dora.value_or(false)) numbers += layer.out_features();
  }
  return numbers;
}

std::vector<std::string> names_of(const std::vector<NamedLayer>& layers) {
  std::vector<std::string> names;
  for (const NamedLayer& layer : layers) names.push_back(layer.name);
  return names;
}

// The layers that get an adapter: those that target_modules names, without it those of the parent's
// file. Afterwards target_modules names just these.
void choose_targets(RunPlan& plan, const std::vector<NamedLayer>& layers) {
  const AdapterConfig& given = plan.request.config.adapter;
  AdapterConfig& config = plan.config.adapter;
  if (!plan.parent || !given.target_modules.empty()) {
    plan.targets = target_layers(config, layers);
  } else {
    plan.targets = parent_layers(*plan.parent, layers);
    const std::vector<std::string> names = names_of(plan.targets);
    if (names_of(named_layers(config.target_modules, layers)) != names) {
      config.target_modules = exact_targets(names, names_of(layers));
    }
  }
  if (!plan.targets.empty()) check_patterns(given, plan.targets);
}

PreflightInput facts_of(const RunPlan& plan) {
  PreflightInput facts = plan.facts;
  if (plan.parent) facts.parent = parent_facts(*plan.parent);
  facts.places.emplace();
  for (const NamedLayer& target : plan.targets) facts.places->push_back(target.name);
  facts.base = plan.base;
  facts.trainable = plan.trainable;
  facts.total_steps = plan.steps;
  plan.task->add_facts(facts);
  return facts;
}

}  // namespace

RunPlan plan_run(RunRequest request) {
  RunPlan plan{.request = std::move(request)};
  const Config& given = plan.request.config;
  plan.parent = find_parent(given);
  plan.facts = first_facts(plan);
  plan.checks = run_first_checks(plan.facts);
  if (!passed(plan.checks)) return plan;
  plan.config = settled(given, plan.parent);
  plan.machine = choose_machine(plan.config.machine);
  plan.base = hashed_base(plan.config);
  plan.task = make_task({plan.config, plan.parent, plan.machine});
  plan.task->settle(plan.config);
  const std::vector<NamedLayer> layers = plan.task->layers();
  if (plan.parent) check_parent_kind(*plan.parent, layers);
  choose_targets(plan, layers);
  plan.steps = total_steps(plan.config, plan.task->objective());
  plan.trainable = trainable_numbers(plan.targets, plan.config);
  plan.facts = facts_of(plan);
  plan.checks = run_preflight(plan.facts);
  return plan;
}

std::vector<std::string> plan_lines(const RunPlan& plan) {
  if (!plan.task) return {preflight_text(plan.checks)};
  const Config& config = plan.config;
  std::vector<std::string> lines = plan.task->report();
  lines.push_back("machine: " + plan.machine.text());
  lines.push_back(fmt::format("adapter: {} modules, {} trainable numbers, rank {}, alpha {}",
                              plan.targets.size(), plan.trainable, config.adapter.lora_rank.value(),
                              config.adapter.lora_alpha.value()));
  lines.push_back(fmt::format("plan: {} steps of {} x {}, learning rate {:g} ({})", plan.steps,
                              config.length.batch_size, config.length.gradient_accumulation_steps,
                              config.optimisation.learning_rate.value(),
                              config.optimisation.lr_scheduler));
  if (const std::string caution = dora_caution(plan); !caution.empty()) lines.push_back(caution);
  lines.push_back(preflight_text(plan.checks));
  return lines;
}

std::string dora_caution(const RunPlan& plan) {
  const bool concerned = is_image_task(plan.config) && plan.config.adapter.use_dora.value_or(false);
  return concerned ? kohya_dora_caution(name_of(plan.config.output_dir) + ".safetensors") : "";
}

nlohmann::json plan_json(const RunPlan& plan) {
  nlohmann::json checks = nlohmann::json::array();
  for (const CheckResult& check : plan.checks) {
    checks.push_back(
        {{"id", check.id}, {"verdict", verdict_name(check.verdict)}, {"message", check.message}});
  }
  nlohmann::json json = {{"passed", passed(plan.checks)}, {"checks", checks}};
  if (plan.task) {
    json["steps"] = plan.steps;
    json["trainable"] = plan.trainable;
  }
  return json;
}

}  // namespace lora
