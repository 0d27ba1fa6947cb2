// SPDX-License-Identifier: Apache-2.0
// Hashes of a base model. Base files are large, so their hashes are remembered by (path, size,
// time, inode) in output/.versions/hashcache.json; versions themselves are never cached.
#pragma once

#include <map>
#include <string>

#include "base/files.h"
#include "versions/version.h"

namespace lora {

class HashCache {
 public:
  // Reads the cache; a missing or broken one is empty.
  explicit HashCache(Path file);
  // SHA-256 of a file, remembered.
  std::string of(const Path& path);
  // Writes the cache where it changed. A folder that cannot be written is no error.
  void save();

 private:
  Path file_;
  std::map<std::string, std::string> known_;  // "path|size|time|inode" -> hash
  bool changed_ = false;
};

// The cache of an output root.
Path hash_cache_file(const Path& root);

// Describes a base model: a folder (Hugging Face, diffusers) or a checkpoint file. `sha256` covers
// the weights (*.safetensors with their relative names), the other hashes their parts; tensors are
// counted from the headers. prediction_type is left for the caller. Throws Error for files that
// cannot be read.
BaseRecord describe_base(const Path& base, HashCache& cache);

}  // namespace lora
