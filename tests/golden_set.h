// SPDX-License-Identifier: Apache-2.0
// What tests ask of a golden set, so that none of it stands in their own text: which families there
// are, with which kind of adapter, and the weights of a model, in one file or in shards.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "io/tensors.h"
#include "tests/paths.h"

namespace lora::test {

// golden/llm/<place>
inline std::filesystem::path llm(const std::string& place) { return golden() / "llm" / place; }

inline nlohmann::json read_json(const std::filesystem::path& path) {
  return nlohmann::json::parse(read_file(path));
}

// Folders of golden/llm that hold a model and its numbers, by name.
inline std::vector<std::string> families() {
  std::vector<std::string> names;
  if (!std::filesystem::exists(golden() / "llm")) return names;
  for (const auto& entry : std::filesystem::directory_iterator(golden() / "llm")) {
    if (std::filesystem::exists(entry.path() / "forward.safetensors")) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Those whose adapter is scale * B A and no more (not DoRA), as adapter_config.json says.
inline std::vector<std::string> families_with_plain_lora() {
  std::vector<std::string> names = families();
  std::erase_if(names, [](const std::string& name) {
    return read_json(llm(name + "/lora/adapter_config.json")).at("use_dora").get<bool>();
  });
  return names;
}

// For INSTANTIATE_TEST_SUITE_P: "llama-tied" -> "llama_tied".
inline std::string family_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// Every tensor of a folder of weights, in one file or in shards.
inline TensorMap read_weights(const std::filesystem::path& folder) {
  TensorMap all;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") all.merge(read_tensors(entry.path()));
  }
  return all;
}

// Shards become the one file whose index they have; nothing happens where there is no index.
inline void join_shards(const std::filesystem::path& folder) {
  constexpr std::string_view kIndex = ".index.json";
  std::vector<std::filesystem::path> shards;
  std::string whole;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(kIndex)) whole = name.substr(0, name.size() - kIndex.size());
    if (name.ends_with(kIndex) || name.ends_with(".safetensors")) shards.push_back(entry.path());
  }
  if (whole.empty()) return;
  const TensorMap all = read_weights(folder);
  for (const auto& path : shards) std::filesystem::remove(path);
  write_tensors(folder / whole, all);
}

}  // namespace lora::test
