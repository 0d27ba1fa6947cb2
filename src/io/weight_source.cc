// SPDX-License-Identifier: Apache-2.0
#include "io/weight_source.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/text.h"
#include "io/aten.h"
#include "io/tensors.h"

namespace lora {
namespace {

// The file or index that holds the weights of a folder, plain name first, then variants.
Path find_weights(const Path& folder, const std::string& stem) {
  for (const char* end : {".safetensors", ".safetensors.index.json"}) {
    if (std::filesystem::exists(folder / (stem + end))) return folder / (stem + end);
  }
  for (const char* variant : {".fp16", ".bf16", ".fp32"}) {
    for (const char* end : {".safetensors", ".safetensors.index.json"}) {
      Path plain = folder / (stem + variant + end);
      if (std::filesystem::exists(plain)) return plain;
    }
    // diffusers writes an index of a variant as stem.safetensors.index.fp16.json
    Path index = folder / join(stem, ".safetensors.index", variant, ".json");
    if (std::filesystem::exists(index)) return index;
  }
  if (std::filesystem::exists(folder / "pytorch_model.bin") ||
      std::filesystem::exists(folder / (stem + ".bin"))) {
    fail(folder.string(),
         ": holds only a pickle (.bin), which can run code when loaded; convert the model to "
         "safetensors");
  }
  fail(folder.string(), ": no weights (looked for ", stem, ".safetensors and ", stem,
       ".safetensors.index.json); is this the model's folder?");
}

constexpr std::int64_t kBlock = std::int64_t{1} << 22;  // numbers drawn once

// `shape` filled from the block again and again, from a place that depends on the name (FNV-1a: the
// same on every machine).
at::Tensor tiled(const at::Tensor& block, const std::string& name, at::IntArrayRef shape) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
  const auto offset = static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(kBlock));
  at::Tensor filled = at::empty(shape, block.options());
  at::Tensor flat = filled.view({-1});
  for (std::int64_t at = 0; at < flat.size(0);) {
    const std::int64_t from = (at + offset) % kBlock;
    const std::int64_t size = std::min(kBlock - from, flat.size(0) - at);
    flat.narrow(0, at, size).copy_(block.narrow(0, from, size));
    at += size;
  }
  return filled;
}

}  // namespace

WeightFiles::WeightFiles(const Path& path, const std::string& stem) {
  if (!std::filesystem::exists(path)) fail(path.string(), ": no such file or folder");
  path_ = std::filesystem::is_directory(path) ? find_weights(path, stem) : path;
  if (path_.extension() == ".json") {
    add_shards();
  } else {
    add(SafetensorsFile::open(path_));
  }
}

void WeightFiles::add(const std::shared_ptr<const SafetensorsFile>& file) {
  for (const TensorView& view : file->tensors()) places_[view.name] = {file, &view};
  metadata_.insert(file->metadata().begin(), file->metadata().end());
}

void WeightFiles::add_shards() {
  const std::string where = path_.string();
  constexpr const char* kRemedy = "is this an index of safetensors files?";
  const auto index = parse_json_object<nlohmann::json>(read_file(path_), where, kRemedy);
  const JsonReader reader(index, where, kRemedy);
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> shards;
  for (const auto& [name, shard] : reader.object("weight_map").items()) {
    if (!shard.is_string()) fail(where, ": tensor '", name, "': the file name is not a text");
    const auto file_name = shard.get<std::string>();
    if (Path(file_name).has_parent_path()) {
      fail(where, ": shard '", file_name, "' is not a file of this folder; damaged index?");
    }
    auto& file = shards[file_name];
    if (file == nullptr) {
      const Path shard_path = path_.parent_path() / file_name;
      if (!std::filesystem::exists(shard_path)) {
        fail(where, ": shard ", file_name, " is missing; download the whole model");
      }
      file = SafetensorsFile::open(shard_path);
      add(file);
    }
    if (file->find(name) == nullptr) {
      fail(where, ": tensor '", name, "' is not in ", file_name, "; index and shards do not match");
    }
  }
}

const std::string& WeightFiles::stored(const std::string& name) const {
  const auto shared = metadata_.find(name);
  if (shared == metadata_.end() || places_.contains(name)) return name;
  return places_.contains(shared->second) ? shared->second : name;
}

at::Tensor WeightFiles::take(const std::string& name, at::IntArrayRef shape) {
  const auto at = places_.find(stored(name));
  if (at == places_.end()) {
    fail(path_.string(), ": tensor '", name,
         "' is missing; not the model that config.json describes, or an incomplete file");
  }
  Place& place = at->second;
  place.taken = true;
  at::Tensor tensor = map_tensor(place.file, *place.view);
  if (!shape.empty() && tensor.sizes() != shape) {
    fail(place.file->path().string(), ": tensor '", at->first, "': shape ",
         shape_text(tensor.sizes()), ", expected ", shape_text(shape),
         "; weights and config.json do not belong together");
  }
  return tensor;
}

std::vector<Path> WeightFiles::files() const {
  std::vector<Path> files;
  for (const auto& [name, place] : places_) {
    const Path& path = place.file->path();
    if (std::find(files.begin(), files.end(), path) == files.end()) files.push_back(path);
  }
  return files;
}

std::vector<std::string> WeightFiles::unused() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) {
    if (!place.taken) names.push_back(name);
  }
  return names;
}

RandomWeights::RandomWeights(at::ScalarType dtype, std::uint64_t seed) {
  block_ = at::empty({kBlock}, at::TensorOptions(at::kFloat))
               .uniform_(-1, 1, at::detail::createCPUGenerator(seed))
               .to(dtype);
}

at::Tensor RandomWeights::take(const std::string& name, at::IntArrayRef shape) {
  if (name.ends_with("bias")) return at::zeros(shape, block_.options());
  if (shape.size() < 2) return at::ones(shape, block_.options());
  const std::int64_t inputs = c10::multiply_integers(shape.slice(1));
  return tiled(block_, name, shape).div_(std::sqrt(static_cast<double>(inputs)));
}

}  // namespace lora
