// SPDX-License-Identifier: Apache-2.0
// The tiny Stable Diffusion rewritten into other layouts and into another kind.
#pragma once

#include <utility>

#include "tests/sd/sd_support.h"

namespace lora::test {

namespace fs = std::filesystem;

// The parts of a base model and the names of their weights.
inline const std::vector<std::pair<std::string, std::string>> kParts = {
    {"unet", "diffusion_pytorch_model"},
    {"vae", "diffusion_pytorch_model"},
    {"text_encoder", "model"}};

// A copy of tiny-sd15 to be rewritten, as `folder`; each part in one file.
inline Path copy_of_base(const Path& folder) {
  fs::copy(sd_golden("tiny-sd15"), folder, fs::copy_options::recursive);
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);
  }
  for (const auto& [part, stem] : kParts) join_shards(folder / part);
  return folder;
}

// Replaces folder/stem.safetensors by `count` shards; `variant` is "" or ".fp16".
inline void split_shards(const Path& folder, const std::string& stem, int count,
                         const std::string& variant) {
  const TensorMap all = read_tensors(folder / (stem + variant + ".safetensors"));
  nlohmann::json map = nlohmann::json::object();
  for (int shard = 0; shard < count; ++shard) {
    TensorMap part;
    int i = 0;
    for (const auto& [name, tensor] : all) {
      if (i++ % count == shard) part[name] = tensor;
    }
    const std::string file =
        join(stem, variant, "-0000", shard + 1, "-of-0000", count, ".safetensors");
    write_tensors(folder / file, part, {{"format", "pt"}});
    for (const auto& [name, tensor] : part) map[name] = file;
  }
  fs::remove(folder / (stem + variant + ".safetensors"));
  const nlohmann::json index = {{"metadata", {{"total_size", 1}}}, {"weight_map", map}};
  write_file_atomic(folder / (stem + ".safetensors.index" + variant + ".json"), index.dump());
}

inline TensorMap in_type(TensorMap tensors, at::ScalarType type) {
  for (auto& [name, tensor] : tensors) {
    if (tensor.is_floating_point()) tensor = tensor.to(type);
  }
  return tensors;
}

// A key of a JSON file becomes `value`.
inline void set_key(const Path& file, const std::string& key, const nlohmann::json& value) {
  nlohmann::json all = nlohmann::json::parse(read_file(file));
  all[key] = value;
  write_file_atomic(file, all.dump());
}

// tiny-sd15 as SD 2.x is built: linear projections in the UNet, gelu in the text encoder, v.
inline Path sd2_folder(const Path& folder) {
  const Path base = copy_of_base(folder);
  set_key(base / "unet/config.json", "use_linear_projection", true);
  set_key(base / "text_encoder/config.json", "hidden_act", "gelu");
  set_key(base / "scheduler/scheduler_config.json", "prediction_type", "v_prediction");
  const Path weights = base / "unet/diffusion_pytorch_model.safetensors";
  TensorMap unet = read_tensors(weights);
  for (auto& [key, tensor] : unet) {
    const bool projection = key.ends_with("proj_in.weight") || key.ends_with("proj_out.weight");
    if (projection) tensor = tensor.flatten(1);
  }
  write_tensors(weights, unet);
  return base;
}

}  // namespace lora::test
