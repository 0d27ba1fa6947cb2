// SPDX-License-Identifier: Apache-2.0
// For tests of configurations: smallest valid files, read from the root of the source tree.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.h"

namespace lora {

class ConfigTest : public testing::Test {
 protected:
  // Lines 1 to 3 of a text configuration.
  static constexpr const char* kText =
      "base_model: examples/llm/base\n"
      "train_data_dir: examples/llm/support_v1/train.jsonl\n"
      "output_dir: ./output/test_v1\n";
  static constexpr const char* kImage =
      "base_model: examples/sd/base\n"
      "train_data_dir: examples/sd/starli_v1\n"
      "output_dir: ./output/test_v1\n";

  void SetUp() override {
    old_ = std::filesystem::current_path();
    std::filesystem::current_path(LORA_SOURCE_DIR);
  }
  void TearDown() override { std::filesystem::current_path(old_); }

  static Config text(const std::string& more, const std::vector<std::string>& overrides = {}) {
    return parse_config(kText + more, "a.yaml", overrides);
  }
  static Config image(const std::string& more) { return parse_config(kImage + more, "a.yaml"); }

 private:
  std::filesystem::path old_;
};

}  // namespace lora
