// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>

#include "base/counting.h"
#include "base/error.h"
#include "io/adapters/adapter_writer.h"
#include "io/adapters/peft_config.h"
#include "io/aten.h"
#include "io/tensors.h"

namespace lora {
namespace {

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

// Exceptions from `usual`: by the last part of the name where all modules of that part agree, by
// the full path otherwise.
PeftPattern exceptions(const std::map<std::string, double>& values, double usual) {
  std::map<std::string, std::set<double>> by_part;
  for (const auto& [path, value] : values) by_part[last_part(path)].insert(value);
  std::map<std::string, double> pattern;
  for (const auto& [path, value] : values) {
    if (value == usual) continue;
    pattern[by_part[last_part(path)].size() == 1 ? last_part(path) : path] = value;
  }
  return {pattern.begin(), pattern.end()};
}

PeftConfig config_of(const AdapterFile& adapter) {
  std::map<std::string, double> ranks, alphas;
  for (const AdapterModule& module : adapter.modules) {
    ranks[module.path] = static_cast<double>(module.rank());
    alphas[module.path] = module.alpha;
  }
  PeftConfig config;
  config.r = most_frequent(ranks);
  config.alpha = most_frequent(alphas);
  config.rank_pattern = exceptions(ranks, *config.r);
  config.alpha_pattern = exceptions(alphas, *config.alpha);
  config.use_rslora = adapter.use_rslora;
  config.use_dora = adapter.use_dora;
  config.fan_in_fan_out = adapter.fan_in_fan_out;
  config.dropout = adapter.dropout;
  config.base_model = adapter.base_model;
  config.task_type = adapter.task_type.empty() ? "CAUSAL_LM" : adapter.task_type;
  config.target_modules = adapter.target_modules;
  if (config.target_modules.empty()) {  // full paths name no other module of any model
    for (const auto& [path, rank] : ranks) config.target_modules.push_back(path);
  }
  std::sort(config.target_modules.begin(), config.target_modules.end());
  return config;
}

}  // namespace

PeftFiles encode_peft(const AdapterFile& adapter) {
  if (adapter.kind != AdapterKind::llm || adapter.modules.empty()) {
    fail(adapter.path.string(), ": an adapter for ", kind_title(adapter.kind),
         " cannot be written as a PEFT folder; use the format diffusers or kohya");
  }
  TensorMap tensors = adapter.others;
  for (const AdapterModule& module : adapter.modules) {
    const std::string name = "base_model.model." + module.path;
    tensors[name + ".lora_A.weight"] = module.a;
    tensors[name + ".lora_B.weight"] = module.b;
    if (module.magnitude.defined()) tensors[name + ".lora_magnitude_vector"] = module.magnitude;
  }
  return {encode_tensors(tensors, {{"format", "pt"}}), format_peft_config(config_of(adapter))};
}

void write_peft(const Path& folder, const AdapterFile& adapter) {
  const PeftFiles files = encode_peft(adapter);
  write_file_atomic(folder / "adapter_config.json", files.config);
  write_file_atomic(folder / "adapter_model.safetensors", files.weights);
  write_file_atomic(folder / "pytorch_lora_weights.safetensors", files.weights);
}

}  // namespace lora
