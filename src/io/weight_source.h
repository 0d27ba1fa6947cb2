// SPDX-License-Identifier: Apache-2.0
// Named tensors of a model, wherever they come from: what models/modules.h makes layers of.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace lora {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual std::string where() const = 0;  // file or folder, for messages
  virtual bool has(const std::string& name) const = 0;
  // The tensor in its stored dtype, without a copy where that is possible; read-only. Each is taken
  // once. Throws Error for a name that is missing and for another shape.
  virtual at::Tensor take(const std::string& name, at::IntArrayRef shape) = 0;
};

// One safetensors file, or shards with an index, seen as one map. Names that writers note in the
// metadata as shared storage ({"absent name": "stored name"}) are there, too.
class WeightFiles : public WeightSource {
 public:
  // `path`: a file, or a folder with `stem`.safetensors or `stem`.safetensors.index.json
  // (`stem` is "model" for language models, "diffusion_pytorch_model" for diffusers). A variant
  // such as "fp16" ("model.fp16.safetensors") is found where the plain name is absent.
  // Throws Error for a missing shard, a tensor that the index promises and no shard holds, an
  // unreadable file.
  explicit WeightFiles(const Path& path, const std::string& stem = "model");

  std::string where() const override { return path_.string(); }
  bool has(const std::string& name) const override { return places_.contains(stored(name)); }
  // Over the mapping; shape checked where `shape` is not empty.
  // Throws Error: "<file>: tensor 'x': shape [2, 3], expected [3, 3]; ...".
  at::Tensor take(const std::string& name, at::IntArrayRef shape = {}) override;

  const Metadata& metadata() const { return metadata_; }
  std::vector<Path> files() const;
  // Names that were never taken.
  std::vector<std::string> unused() const;

 private:
  struct Place {
    std::shared_ptr<const SafetensorsFile> file;
    const TensorView* view = nullptr;
    bool taken = false;
  };
  void add(const std::shared_ptr<const SafetensorsFile>& file);
  void add_shards();
  const std::string& stored(const std::string& name) const;  // the name in the file

  std::map<std::string, Place> places_;
  Metadata metadata_;
  Path path_;
};

// Random numbers of the scale that trained weights have, for measurements: uniform within
// 1 / sqrt(inputs), norms 1, biases 0. Has every name; the same name, shape and seed give the same
// numbers. Large tensors repeat one block of them, which makes billions cheap.
class RandomWeights : public WeightSource {
 public:
  RandomWeights(at::ScalarType dtype, std::uint64_t seed);

  std::string where() const override { return "random model"; }
  bool has(const std::string&) const override { return true; }
  at::Tensor take(const std::string& name, at::IntArrayRef shape) override;

 private:
  at::Tensor block_;  // uniform in -1..1
};

}  // namespace lora
