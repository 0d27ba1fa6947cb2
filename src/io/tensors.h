// SPDX-License-Identifier: Apache-2.0
// Between files and ATen tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "io/safetensors.h"

namespace lora {

using TensorMap = std::map<std::string, at::Tensor>;

at::ScalarType scalar_type(DType dtype);
DType dtype_of(const at::Tensor& tensor);

// A tensor over the mapped bytes, without a copy; keeps the file alive. Read-only: never write to
// it. (Unaligned data, legal in old files, is copied.)
at::Tensor map_tensor(std::shared_ptr<const SafetensorsFile> file, const TensorView& view);

// Every tensor of a file, copied into memory of its own.
TensorMap read_tensors(const Path& path);

// "[4, 320]"
std::string shape_text(at::IntArrayRef shape);

// encode_safetensors over tensors of any device and layout.
std::string encode_tensors(const TensorMap& tensors, const Metadata& metadata);

// Atomic write; tensors are made contiguous on the CPU. Default metadata {"format": "pt"}.
void write_tensors(const Path& path, const TensorMap& tensors,
                   const Metadata& metadata = {{"format", "pt"}});

// The weights of a base model: one safetensors file, or shards with an index, seen as one map.
// Every tensor is read once: `take` hands it out, `unused` lists what nobody took.
class Weights {
 public:
  // `path`: a file, or a folder with `stem`.safetensors or `stem`.safetensors.index.json
  // (`stem` is "model" for language models, "diffusion_pytorch_model" for diffusers). A variant
  // such as "fp16" ("model.fp16.safetensors") is found where the plain name is absent.
  // Throws Error for a missing shard, a tensor that the index promises and no shard holds, an
  // unreadable file.
  static Weights open(const Path& path, const std::string& stem = "model");

  bool has(const std::string& name) const;
  std::vector<std::string> names() const;
  const Metadata& metadata() const { return metadata_; }
  std::vector<Path> files() const;

  // The tensor in its stored dtype, over the mapping; shape checked where `shape` is not empty.
  // Throws Error: "<file>: tensor 'x': shape [2, 3], expected [3, 3]; ...".
  at::Tensor take(const std::string& name, at::IntArrayRef shape = {});

  // Names that were never taken.
  std::vector<std::string> unused() const;

 private:
  struct Place {
    std::shared_ptr<const SafetensorsFile> file;
    const TensorView* view = nullptr;
    bool taken = false;
  };
  std::map<std::string, Place> places_;
  Metadata metadata_;
  Path path_;
};

}  // namespace lora
