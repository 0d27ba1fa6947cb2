// SPDX-License-Identifier: Apache-2.0
#include "versions/hash_base.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/json_text.h"
#include "io/safetensors.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Regular files below `folder` for which `wanted(relative name)` holds, sorted.
template <typename Wanted>
std::vector<std::string> files_below(const Path& folder, Wanted wanted) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(
           folder, fs::directory_options::follow_directory_symlink, ignored)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    if (wanted(name)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

// One hash over names and contents; "" where there is no file.
std::string hash_of(const Path& folder, const std::vector<std::string>& names, HashCache& cache) {
  std::string text;
  for (const std::string& name : names) text += cache.of(folder / name) + "  " + name + "\n";
  return names.empty() ? "" : sha256(text);
}

bool is_weights(const std::string& name) { return name.ends_with(".safetensors"); }

std::string hash_part(const Path& base, const std::string& part, HashCache& cache) {
  return hash_of(base / part, files_below(base / part, is_weights), cache);
}

// The files that turn text into ids, in the folder itself or in a diffusers folder's tokenizers.
bool is_tokenizer(const std::string& name) {
  const std::string file = Path(name).filename().string();
  constexpr std::string_view kNames[] = {"tokenizer.json", "tokenizer.model", "vocab.json",
                                         "merges.txt"};
  return std::ranges::find(kNames, file) != std::end(kNames);
}

}  // namespace

HashCache::HashCache(Path file) : file_(std::move(file)) {
  std::error_code ignored;
  if (!fs::is_regular_file(file_, ignored)) return;
  const json known = try_parse_json<json>(read_file(file_)).value_or(json());
  if (!known.is_object()) return;
  for (const auto& [key, value] : known.items()) {
    if (value.is_string()) known_[key] = value;
  }
}

std::string HashCache::of(const Path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    fail(path.string(), ": cannot be read (", std::strerror(errno), "); check the path");
  }
  const std::string key =
      join(fs::absolute(path).lexically_normal().string(), "|", status.st_size, "|",
           status.st_mtim.tv_sec, ".", status.st_mtim.tv_nsec, "|", status.st_ino);
  const auto found = known_.find(key);
  if (found != known_.end()) return found->second;
  changed_ = true;
  return known_[key] = sha256_file(path);
}

void HashCache::save() {
  if (!changed_) return;
  try {
    const auto replace = json::error_handler_t::replace;  // paths need not be UTF-8
    write_file_atomic(file_, json(known_).dump(1, ' ', false, replace) + "\n");
    changed_ = false;
  } catch (const Error&) {
    // Only a cache: the next run hashes again.
  }
}

Path hash_cache_file(const Path& root) { return root / ".versions" / "hashcache.json"; }

BaseRecord describe_base(const Path& base, HashCache& cache) {
  BaseRecord record;
  record.path = base.string();
  if (!fs::is_directory(base)) {
    record.format = "checkpoint";
    record.sha256 = cache.of(base);
    record.tensors = static_cast<std::int64_t>(SafetensorsFile::open(base)->tensors().size());
    return record;
  }
  const bool diffusers = fs::exists(base / "model_index.json") || fs::exists(base / "unet");
  record.format = diffusers ? "diffusers" : "huggingface";
  const std::vector<std::string> weights = files_below(base, is_weights);
  if (weights.empty()) {
    fail_usage(base.string(), ": no weights (found no .safetensors file below it, expected the ",
               "model's); convert the model to safetensors");
  }
  record.sha256 = hash_of(base, weights, cache);
  for (const std::string& name : weights) {
    record.tensors +=
        static_cast<std::int64_t>(SafetensorsFile::open(base / name)->tensors().size());
  }
  record.tokenizer_sha256 = hash_of(base, files_below(base, is_tokenizer), cache);
  if (diffusers) {
    record.text_encoder_sha256 = hash_part(base, "text_encoder", cache);
    record.vae_sha256 = hash_part(base, "vae", cache);
  }
  return record;
}

}  // namespace lora
