// SPDX-License-Identifier: Apache-2.0
// Test support: a temporary output root with small committed versions.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "io/safetensors.h"
#include "versions/store.h"

namespace lora {

class StoreFixture : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = Path(testing::TempDir()) / ("store_" + std::to_string(::getpid())) / info->name();
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // A committed version with one tensor.
  Version make(const std::string& name, float value, std::vector<ParentLink> parents = {}) {
    const Path folder = root_ / name;
    reserve_folder(folder, false);
    write_weights(folder / kWeightsName, value, "x");
    write_file_atomic(folder / "config.resolved.yaml", "seed: 1\n");
    write_file_atomic(folder / "logs/train.log", "step 1\n");
    Version version;
    version.name = name;
    version.parents = std::move(parents);
    version.weights.file = kWeightsName;
    version.weights.ranks = {{"layers.0.q_proj", 8}};
    version.metrics = {{"loss", 0.1}};
    version.preflight = {{"W02", "ok", "fine"}};
    version.run.created = "2026-01-0" + std::to_string(1 + made_++) + "T00:00:00Z";
    return publish(folder, version);
  }

  static void write_weights(const Path& file, float value, const std::string& note) {
    TensorView tensor{"a", DType::f32, {1}, reinterpret_cast<const std::byte*>(&value)};
    write_safetensors(file, {tensor}, {{"note", note}});
  }

  // Files of a committed version are read-only: an accident needs a rename.
  static void overwrite(const Path& file, const std::string& content) {
    std::filesystem::remove(file);
    std::ofstream(file) << content;
  }

  Path root_;
  int made_ = 0;
};

template <typename F>
std::string message_of(F f, Exit code = Exit::usage) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "no error";
}

}  // namespace lora
