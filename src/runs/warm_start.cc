// SPDX-License-Identifier: Apache-2.0
#include "runs/warm_start.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "io/adapters/algebra.h"
#include "io/adapters/bundled.h"
#include "io/adapters/match.h"
#include "io/aten.h"
#include "nn/new_adapter.h"
#include "runs/adapter_version.h"
#include "versions/verify.h"

namespace lora {
namespace {

// Relative difference of the probe loss; bfloat16 against float32 rounds differently.
constexpr double kProbeTolerance = 1e-4, kMixedTolerance = 2e-2;

}  // namespace

std::optional<ParentVersion> find_parent(const Config& config) {
  if (!is_warm_start(config)) return {};
  ParentVersion parent;
  parent.located = locate_version(config.adapter.init_lora_weights, output_root(config));
  // A version's folder also tells alpha and targets (adapter_config.json).
  parent.adapter =
      read_located(parent.located,
                   parent.located.folder.empty() ? parent.located.weights : parent.located.folder);
  parent.file_sha256 = sha256_file(parent.located.weights);
  parent.weights =
      parent.located.version ? parent.located.version->weights : weights_record(parent.adapter);
  if (parent.located.version) parent.data = read_stats(parent.located.folder);
  return parent;
}

ParentFacts parent_facts(const ParentVersion& parent) {
  ParentFacts facts{.name = parent.located.name,
                    .weights = parent.located.weights,
                    .manifest = parent.located.version,
                    .rslora = parent.adapter.use_rslora,
                    .dora = parent.adapter.use_dora,
                    .data = parent.data};
  if (parent.located.version) facts.problems = verify_version(parent.located.folder).problems;
  for (const AdapterModule& module : parent.adapter.modules) {
    ModuleFacts& one = facts.modules[module.path];
    one.rank = module.rank();
    // Files for images that name no alpha have the scale 1 in every program; texts have no rule.
    const bool known = module.alpha_known || parent.adapter.kind != AdapterKind::llm;
    if (known) one.alpha = module.alpha;
    one.finite = is_finite(module);
    one.zero = !module.b.any().item<bool>();
  }
  return facts;
}

const DataRecord& replayed_data(const std::optional<ParentVersion>& parent) {
  if (!parent || !parent->located.version) {
    fail_usage("replay: the parent has no data manifest (found ",
               parent ? parent->located.weights.string() : "no parent",
               "); continue from a version that lora trained, or set replay: 0");
  }
  return parent->located.version->data;
}

void check_parent_kind(const ParentVersion& parent, const std::vector<NamedLayer>& layers) {
  check_family(parent.adapter, shapes_of(layers));
}

bool adapts_both(const AdapterFile& adapter) {
  const auto holds = [&](std::string_view component) {
    return std::ranges::any_of(adapter.modules, [&](const AdapterModule& module) {
      return module.path.starts_with(component);
    });
  };
  return holds("unet.") && holds("text_encoder");
}

std::vector<NamedLayer> parent_layers(const ParentVersion& parent,
                                      const std::vector<NamedLayer>& layers) {
  std::vector<NamedLayer> chosen;
  for (const NamedLayer& layer : layers) {
    if (parent.adapter.find(layer.name) != nullptr) chosen.push_back(layer);
  }
  return chosen;
}

std::string attach_parent(const Config& config, const ParentVersion& parent,
                          const std::vector<NamedLayer>& layers,
                          const std::vector<NamedLayer>& targets) {
  AdapterFile adapter = parent.adapter;
  if (config.increment.rank_policy == "grow") {
    at::Generator random = at::detail::createCPUGenerator(static_cast<std::uint64_t>(config.seed));
    for (AdapterModule& module : adapter.modules) {
      const AdapterSize size = adapter_size(config.adapter, module.path);
      module = grow(module, size.rank, size.alpha, size.scale, random);
    }
  }
  std::set<std::string> wanted;
  for (const NamedLayer& target : targets) wanted.insert(target.name);
  std::vector<LayerShape> shapes = shapes_of(layers);
  for (LayerShape& shape : shapes) shape.expected = wanted.contains(shape.name);
  const AdapterMatch match = match_adapter(adapter, shapes);
  require_complete(match, adapter, shapes);
  if (const std::string told = left_aside(adapter); !told.empty()) warn(told);
  attach(adapter, match, layers, {.dropout = config.adapter.lora_dropout.value_or(0)});
  return summary(match, adapter) + ", parent " + parent.located.name;
}

double probe_loss(const nlohmann::json& stored, const Path& file, TrainTask& task) {
  try {
    return task.probe(stored.dump()).loss;
  } catch (const nlohmann::json::exception& error) {
    fail_integrity(file.string(), ": not a probe (", error.what(), "); restore it from a copy");
  }
}

std::optional<double> check_probe(const ParentVersion& parent, const Precision& precision,
                                  TrainTask& task) {
  const Path file = parent.located.folder / "probe.json";
  if (!parent.located.version || !std::filesystem::exists(file)) {
    info("parent " + parent.located.name + " has no probe; its loss cannot be compared");
    return std::nullopt;
  }
  const char* restore = "restore the file from a copy";
  const auto stored = parse_json_object<nlohmann::json>(read_file(file), file.string(), restore);
  const double expected = JsonReader(stored, file.string(), restore).number("loss");
  const std::string dtype = at::toString(precision.dtype);
  const double allowed = stored.value("dtype", nlohmann::json()) == dtype ? kProbeTolerance
                                                                          : kMixedTolerance;
  const double found = probe_loss(stored, file, task);
  if (!(std::abs(found - expected) <= allowed * std::max(std::abs(expected), 1.0))) {
    fail_integrity("W08: ", file.string(), ": the loaded adapter does not reproduce ",
                   parent.located.name, " (found probe loss ", found, ", expected ", expected,
                   "); another base model or tokenizer, or a damaged adapter: compare with `lora "
                   "verify ",
                   parent.located.name, "`");
  }
  info(fmt::format("probe: loss {:.6f}, {} recorded {:.6f}: the parent is reproduced", found,
                   parent.located.name, expected));
  return found;
}

}  // namespace lora
