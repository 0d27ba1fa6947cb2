// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "io/adapters/adapter_writer.h"
#include "io/adapters/algebra.h"
#include "io/safetensors.h"
#include "runs/describe.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

struct Group {
  std::size_t modules = 0;
  double squares = 0;
};

void add_groups(Json& json, const char* name, const std::map<std::string, Group>& groups) {
  json[name] = Json::object();
  for (const auto& [key, group] : groups) {
    json[name][key] = {{"modules", group.modules}, {"delta_norm", std::sqrt(group.squares)}};
  }
}

std::string component_of(const AdapterFile& adapter, const std::string& path) {
  if (adapter.kind == AdapterKind::llm) return "language_model";
  return path.substr(0, path.find('.'));
}

// "to_out" for "...attn1.to_out.0": the last part that is a word.
std::string target_of(std::string path) {
  while (true) {
    const std::size_t dot = path.rfind('.');
    std::string last = path.substr(dot + 1);
    const bool word = last.find_first_not_of("0123456789") != std::string::npos;
    if (word || dot == std::string::npos) return last;
    path.resize(dot);
  }
}

void count(Json& json, double value) {
  const std::string key = Json(value).dump();
  json[key] = json.value(key, 0) + 1;
}

Json others_of(const AdapterFile& adapter) {
  Json list = Json::array();
  for (const auto& [name, tensor] : adapter.others) {
    list.push_back(
        {{"name", name}, {"dtype", dtype_name(dtype_of(tensor))}, {"shape", tensor.sizes().vec()}});
  }
  return list;
}

Json warnings_of(const AdapterFile& adapter) {
  Json list = Json::array();
  if (!adapter.all_alpha_known()) {
    list.push_back(adapter.kind == AdapterKind::llm
                       ? "alpha is not in the file or beside it: alpha = rank is only a guess"
                       : "no alpha in the file: alpha = rank, as other programs read it");
  }
  if (!adapter.others.empty()) {
    list.push_back("holds tensors that are not LoRA; they are not used by this program");
  }
  if (adapter.use_dora && adapter.dialect == "kohya") {
    list.push_back(kohya_dora_caution(adapter.path.filename().string()));
  }
  if (adapter.kind == AdapterKind::llm && adapter.max_rank() > 16) {
    list.push_back("rank above 16: a vLLM server needs --max-lora-rank");
  }
  return list;
}

}  // namespace

Json describe_adapter(const AdapterFile& adapter) {
  Json json;
  json["type"] = "adapter";
  json["file"] = adapter.path.string();
  json["dialect"] = adapter.dialect;
  json["kind"] = kind_name(adapter.kind);
  json["for"] = kind_title(adapter.kind);
  json["modules"] = adapter.modules.size();
  Json ranks = Json::object(), alphas = Json::object(), scales = Json::object();
  Json dtypes = Json::object();
  std::map<std::string, Group> components, targets;
  std::int64_t parameters = 0;
  for (const AdapterModule& module : adapter.modules) {
    count(ranks, static_cast<double>(module.rank()));
    count(alphas, module.alpha);
    count(scales, module.scale);
    for (const at::Tensor& tensor : {module.a, module.b, module.mid, module.magnitude}) {
      if (!tensor.defined()) continue;
      parameters += tensor.numel();
      const std::string name(dtype_name(dtype_of(tensor)));
      dtypes[name] = dtypes.value(name, 0) + 1;
    }
    const double squares = std::max(0.0, inner_product(module, module));
    for (Group* group :
         {&components[component_of(adapter, module.path)], &targets[target_of(module.path)]}) {
      ++group->modules;
      group->squares += squares;
    }
  }
  json["parameters"] = parameters;
  json["ranks"] = ranks;  // value: number of modules
  json["alphas"] = alphas;
  json["alpha_known"] = adapter.all_alpha_known();
  json["scales"] = scales;
  json["dtypes"] = dtypes;
  json["use_rslora"] = adapter.use_rslora;
  json["use_dora"] = adapter.use_dora;
  if (adapter.kind != AdapterKind::llm) {
    json["cross_attention_width"] = adapter.cross_attention_width();
  }
  add_groups(json, "components", components);
  add_groups(json, "targets", targets);
  json["base_model"] = adapter.base_model;
  json["task_type"] = adapter.task_type;
  json["other_tensors"] = others_of(adapter);
  json["metadata"] = adapter.metadata;
  json["tensor_sha256"] = tensor_sha256(*SafetensorsFile::open(adapter.path));
  json["warnings"] = warnings_of(adapter);
  return json;
}

}  // namespace lora
