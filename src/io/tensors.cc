// SPDX-License-Identifier: Apache-2.0
#include "io/tensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/text.h"
#include "io/aten.h"

namespace lora {
namespace {

struct Pair {
  DType file;
  at::ScalarType torch;
};

constexpr Pair kTypes[] = {{DType::boolean, at::kBool}, {DType::u8, at::kByte},
                           {DType::i8, at::kChar},      {DType::i16, at::kShort},
                           {DType::i32, at::kInt},      {DType::i64, at::kLong},
                           {DType::f16, at::kHalf},     {DType::bf16, at::kBFloat16},
                           {DType::f32, at::kFloat},    {DType::f64, at::kDouble}};

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

}  // namespace

std::string shape_text(at::IntArrayRef shape) {
  std::vector<std::string> sizes;
  for (std::int64_t size : shape) sizes.push_back(std::to_string(size));
  return "[" + join_words(sizes) + "]";
}

at::ScalarType scalar_type(DType dtype) {
  for (const Pair& pair : kTypes) {
    if (pair.file == dtype) return pair.torch;
  }
  fail("dtype ", dtype_name(dtype), ": no tensor type");
}

DType dtype_of(const at::Tensor& tensor) {
  for (const Pair& pair : kTypes) {
    if (pair.torch == tensor.scalar_type()) return pair.file;
  }
  fail("tensor type ", at::toString(tensor.scalar_type()), ": cannot be stored");
}

at::Tensor map_tensor(std::shared_ptr<const SafetensorsFile> file, const TensorView& view) {
  void* data = const_cast<std::byte*>(view.data);
  const auto options = at::TensorOptions().dtype(scalar_type(view.dtype));
  if (view.elements() == 0) return at::empty(view.shape, options);
  if (reinterpret_cast<std::uintptr_t>(data) % dtype_size(view.dtype) != 0) {
    at::Tensor copy = at::empty(view.shape, options);
    std::memcpy(copy.data_ptr(), data, view.bytes());
    return copy;
  }
  return at::from_blob(
      data, view.shape, [file = std::move(file)](void*) {}, options);
}

TensorMap read_tensors(const Path& path) {
  const auto file = SafetensorsFile::open(path);
  TensorMap tensors;
  for (const TensorView& view : file->tensors()) {
    tensors[view.name] = map_tensor(file, view).clone();
  }
  return tensors;
}

std::string encode_tensors(const TensorMap& tensors, const Metadata& metadata) {
  std::vector<at::Tensor> alive;
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    alive.push_back(tensor.detach().cpu().contiguous());
    views.push_back({name, dtype_of(tensor), tensor.sizes().vec(),
                     static_cast<const std::byte*>(alive.back().data_ptr())});
  }
  return encode_safetensors(std::move(views), metadata);
}

void write_tensors(const Path& path, const TensorMap& tensors, const Metadata& metadata) {
  write_file_atomic(path, encode_tensors(tensors, metadata));
}

Weights Weights::open(const Path& path, const std::string& stem) {
  if (!std::filesystem::exists(path)) fail(path.string(), ": no such file or folder");
  Weights weights;
  weights.path_ = std::filesystem::is_directory(path) ? find_weights(path, stem) : path;
  const auto add = [&](const std::shared_ptr<const SafetensorsFile>& file) {
    for (const TensorView& view : file->tensors()) weights.places_[view.name] = {file, &view};
    weights.metadata_.insert(file->metadata().begin(), file->metadata().end());
  };
  if (weights.path_.extension() != ".json") {
    add(SafetensorsFile::open(weights.path_));
    return weights;
  }
  const std::string where = weights.path_.string();
  constexpr const char* kRemedy = "is this an index of safetensors files?";
  const auto index = parse_json_object<nlohmann::json>(read_file(weights.path_), where, kRemedy);
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
      const Path shard_path = weights.path_.parent_path() / file_name;
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
  return weights;
}

bool Weights::has(const std::string& name) const { return places_.contains(name); }

std::vector<std::string> Weights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

std::vector<Path> Weights::files() const {
  std::vector<Path> files;
  for (const auto& [name, place] : places_) {
    const Path& path = place.file->path();
    if (std::find(files.begin(), files.end(), path) == files.end()) files.push_back(path);
  }
  return files;
}

at::Tensor Weights::take(const std::string& name, at::IntArrayRef shape) {
  const auto at = places_.find(name);
  if (at == places_.end()) {
    fail(path_.string(), ": tensor '", name,
         "' is missing; not the model that config.json describes, or an incomplete file");
  }
  Place& place = at->second;
  place.taken = true;
  at::Tensor tensor = map_tensor(place.file, *place.view);
  if (!shape.empty() && tensor.sizes() != shape) {
    fail(place.file->path().string(), ": tensor '", name, "': shape ", shape_text(tensor.sizes()),
         ", expected ", shape_text(shape), "; weights and config.json do not belong together");
  }
  return tensor;
}

std::vector<std::string> Weights::unused() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) {
    if (!place.taken) names.push_back(name);
  }
  return names;
}

}  // namespace lora
