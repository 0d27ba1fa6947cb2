// SPDX-License-Identifier: Apache-2.0
#include "runs/describe.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/text.h"
#include "io/adapters/dialects.h"
#include "io/adapters/gguf.h"
#include "io/weight_source.h"
#include "models/sd_kinds.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Count, parameters and dtypes of the tensors of a model.
template <typename Tensors>
void add_tensors(Json& json, const Tensors& tensors) {
  std::int64_t parameters = 0;
  std::map<std::string, std::size_t> dtypes;
  for (const TensorView& view : tensors) {
    parameters += view.elements();
    ++dtypes[std::string(dtype_name(view.dtype))];
  }
  json["tensors"] = tensors.size();
  json["parameters"] = parameters;
  json["dtypes"] = dtypes;
}

void add_weights(Json& json, const Path& folder, const std::string& stem) {
  std::vector<TensorView> tensors;
  Json files = Json::array();
  for (const Path& path : WeightFiles(folder, stem).files()) {
    const auto file = SafetensorsFile::open(path);
    tensors.insert(tensors.end(), file->tensors().begin(), file->tensors().end());
    files.push_back(path.filename().string());
  }
  add_tensors(json, tensors);
  json["files"] = files;
}

Json read_json(const Path& path) {
  return parse_json_object<Json>(read_file(path), path.string(), "damaged file?");
}

Json describe_tensors(const SafetensorsFile& file) {
  Json json;
  json["type"] = "tensors";
  const SdKindRow* kind = sd_kind_in(file);
  const bool unet = std::any_of(file.tensors().begin(), file.tensors().end(), [](const auto& t) {
    return t.name.starts_with("model.diffusion_model.");
  });
  if (kind != nullptr || unet) {
    json["type"] = "checkpoint";
    json["for"] = kind != nullptr ? kind_title(kind->adapter) : "Stable Diffusion, UNet only";
    const bool vae = std::any_of(file.tensors().begin(), file.tensors().end(), [](const auto& t) {
      return t.name.starts_with("first_stage_model.");
    });
    json["vae"] = vae ? "in the file" : "missing: nothing can be trained or drawn with this file";
  }
  json["file"] = file.path().string();
  add_tensors(json, file.tensors());
  json["metadata"] = file.metadata();
  return json;
}

Json describe_gguf(const Path& path) {
  const GgufHeader header = read_gguf_header(path);
  Json json;
  json["type"] = "gguf";
  json["file"] = path.string();
  json["version"] = header.version;
  json["tensors"] = header.tensors.size();
  json["values"] = header.values;
  Json names = Json::array();
  for (const auto& tensor : header.tensors) {
    names.push_back({{"name", tensor.name}, {"shape", tensor.shape}, {"type", tensor.type}});
  }
  json["tensor_list"] = names;
  return json;
}

Json describe_language_model(const Path& folder) {
  const Json config = read_json(folder / "config.json");
  Json json;
  json["type"] = "language-model";
  json["folder"] = folder.string();
  for (const char* key :
       {"architectures", "model_type", "vocab_size", "hidden_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "max_position_embeddings"}) {
    if (config.contains(key)) json[key] = config[key];
  }
  add_weights(json, folder, "model");
  return json;
}

Json describe_diffusers(const Path& folder) {
  const Json index = read_json(folder / "model_index.json");
  Json json;
  json["type"] = "diffusers";
  json["folder"] = folder.string();
  json["pipeline"] = index.value("_class_name", "");
  json["components"] = Json::object();
  for (const auto& [name, value] : index.items()) {
    if (name.starts_with("_") || !fs::exists(folder / name / "config.json")) continue;
    Json part;
    const bool text = name.starts_with("text_encoder");
    add_weights(part, folder / name, text ? "model" : "diffusion_pytorch_model");
    json["components"][name] = part;
  }
  return json;
}

Json describe_version(const Path& folder) {
  Json json = describe_adapter(read_adapter(folder, {.assume_alpha = true}));
  json["type"] = "version";
  json["version"] = read_json(folder / "version.json");
  return json;
}

bool holds_lora(const SafetensorsFile& file) {
  return std::any_of(file.tensors().begin(), file.tensors().end(), [](const TensorView& view) {
    const std::string name = lower_ascii(view.name);
    return name.find("lora") != std::string::npos || !foreign_adapter(name).empty() ||
           name.starts_with("unet:") || name.starts_with("text_encoder:");
  });
}

}  // namespace

Json describe(const Path& path) {
  if (!fs::exists(path)) fail(path.string(), ": no such file or folder; check the path");
  if (fs::is_directory(path)) {
    if (fs::exists(path / "version.json")) return describe_version(path);
    if (fs::exists(path / "model_index.json")) return describe_diffusers(path);
    if (fs::exists(path / "config.json") && !fs::exists(path / "adapter_config.json")) {
      return describe_language_model(path);
    }
  }
  const Path file = find_adapter_file(path);
  if (file.extension() == ".gguf") return describe_gguf(file);
  const auto tensors = SafetensorsFile::open(file);
  if (!fs::is_directory(path) && !holds_lora(*tensors)) return describe_tensors(*tensors);
  return describe_adapter(read_adapter(file, {.assume_alpha = true}));
}

}  // namespace lora
