// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/adapter_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "io/adapters/adapter_writer.h"
#include "io/adapters/match.h"
#include "io/adapters/peft_config.h"
#include "io/aten.h"
#include "tests/golden_set.h"

namespace lora {
namespace {

Path temporary(const std::string& name) {
  const Path folder = std::filesystem::temp_directory_path() / ("lora-adapters-" + name);
  std::filesystem::remove_all(folder);
  return folder;
}

TEST(GoldenPeftAdapters, ScalesAreThoseOfPeft) {
  ASSERT_FALSE(test::families().empty());
  for (const std::string& family : test::families()) {
    const Path root = test::llm(family);
    const AdapterFile adapter = read_adapter(root / "lora");
    EXPECT_EQ(adapter.kind, AdapterKind::llm) << family;
    EXPECT_EQ(adapter.dialect, "peft");
    const auto expected = nlohmann::json::parse(read_file(root / "lora_expected.json"));
    for (const auto& [key, found] : std::map<std::string, bool>{
             {"use_dora", adapter.use_dora},
             {"use_rslora", adapter.use_rslora},
             {"fan_in_fan_out", adapter.fan_in_fan_out}}) {
      EXPECT_EQ(found, expected["adapter"][key].get<bool>()) << family << " " << key;
    }
    ASSERT_EQ(adapter.modules.size(), expected["scaling"].size()) << family;
    for (const auto& [path, scale] : expected["scaling"].items()) {
      const AdapterModule* module = adapter.find(path);
      ASSERT_NE(module, nullptr) << family << " " << path;
      EXPECT_DOUBLE_EQ(module->scale, scale.get<double>()) << family << " " << path;
    }
  }
}

// Of the one module that the set names; DoRA has no delta of its own.
TEST(GoldenPeftAdapters, DeltaIsThatOfPeft) {
  const std::vector<std::string> families = test::families_with_plain_lora();
  ASSERT_FALSE(families.empty());
  for (const std::string& family : families) {
    const Path root = test::llm(family);
    const AdapterFile adapter = read_adapter(root / "lora");
    const std::string path = test::read_json(root / "lora_expected.json").at("merged_module");
    const AdapterModule* module = adapter.find(path);
    ASSERT_NE(module, nullptr) << family << " " << path;
    const at::Tensor tensor =
        read_tensors(root / "lora_expected.safetensors").at("delta." + path + ".weight");
    const at::Tensor delta = adapter.fan_in_fan_out ? module->delta().t() : module->delta();
    EXPECT_LT((delta - tensor).abs().max().item<float>(), 1e-6f * tensor.abs().max().item<float>())
        << family;
  }
}

TEST(GoldenPeftAdapters, WrittenFilesAreThoseOfPeft) {
  std::vector<Path> folders;
  for (const std::string& family : test::families()) folders.push_back(test::llm(family) / "lora");
  for (const char* name : {"v1", "v2", "grown_r8", "shrunk_r4"}) {
    folders.push_back(test::golden() / "llm" / "warmstart" / name);
  }
  for (const Path& folder : folders) {
    const AdapterFile adapter = read_adapter(folder);
    const Path out = temporary("peft");
    write_peft(out, adapter);
    const std::string weights = read_file(folder / "adapter_model.safetensors");
    EXPECT_EQ(read_file(out / "adapter_model.safetensors"), weights) << folder;
    EXPECT_EQ(read_file(out / "pytorch_lora_weights.safetensors"), weights) << folder;
    const AdapterFile again = read_adapter(out);
    ASSERT_EQ(again.modules.size(), adapter.modules.size());
    for (std::size_t i = 0; i < again.modules.size(); ++i) {
      EXPECT_EQ(again.modules[i].scale, adapter.modules[i].scale) << folder;
      EXPECT_EQ(again.modules[i].alpha, adapter.modules[i].alpha) << folder;
    }
    const auto ours = nlohmann::json::parse(read_file(out / "adapter_config.json"));
    const auto theirs = nlohmann::json::parse(read_file(folder / "adapter_config.json"));
    for (const auto& [key, value] : ours.items()) {
      if (key == "target_modules" || key.ends_with("_pattern")) continue;
      EXPECT_EQ(value, theirs[key]) << folder << " " << key;
    }
    for (const char* key : {"use_rslora", "use_dora", "fan_in_fan_out"}) {
      EXPECT_EQ(ours.value(key, false), theirs.value(key, false)) << folder << " " << key;
    }
    // A pattern may name the same modules by a longer name.
    const PeftConfig written = read_peft_config(out / "adapter_config.json");
    const PeftConfig given = read_peft_config(folder / "adapter_config.json");
    for (const AdapterModule& module : adapter.modules) {
      EXPECT_EQ(rank_of(written, module.path, ""), rank_of(given, module.path, "")) << module.path;
      EXPECT_EQ(alpha_of(written, module.path, ""), alpha_of(given, module.path, ""))
          << module.path;
    }
  }
}

TEST(DataAdapters, ConfigurationOfPeft018IsWrittenWithoutItsDefaults) {
  const Path folder = test::data() / "adapters/lab_08-opt-125m";
  LORA_SKIP_WITHOUT(folder);
  const AdapterFile adapter = read_adapter(folder);
  EXPECT_EQ(adapter.modules.size(), 24u);
  EXPECT_EQ(adapter.modules[0].scale, 2.0);
  EXPECT_EQ(adapter.modules[0].a.scalar_type(), at::kBFloat16);
  const PeftFiles files = encode_peft(adapter);
  const auto theirs = nlohmann::json::parse(read_file(folder / "adapter_config.json"));
  const auto ours = nlohmann::json::parse(files.config);
  for (const auto& [key, value] : ours.items()) EXPECT_EQ(value, theirs.at(key)) << key;
  EXPECT_EQ(ours.size(), 8u) << files.config;
  EXPECT_EQ(files.weights, read_file(folder / "adapter_model.safetensors"));
}

TEST(DataAdapters, ExtraTensorsAreNamed) {
  const Path folder = test::data() / "adapters/peft-gpt2";
  LORA_SKIP_WITHOUT(folder);
  const AdapterFile adapter = read_adapter(folder);
  EXPECT_EQ(adapter.modules.size(), 12u);
  EXPECT_TRUE(adapter.fan_in_fan_out);
  ASSERT_EQ(adapter.others.size(), 1u);
  EXPECT_EQ(adapter.others.begin()->first, "base_model.model.score.weight");
  EXPECT_EQ(encode_peft(adapter).weights, read_file(folder / "adapter_model.safetensors"));
}

TEST(PeftConfig, PatternsMatchAsInPeft) {
  // r 25, alpha 17: the reference values of docs: linear 11/25, embed 17/9, conv2d 13/16.
  PeftConfig config;
  config.r = 25;
  config.alpha = 17;
  config.rank_pattern = {{"embed", 9}, {"conv2d", 16}};
  config.alpha_pattern = {{"linear", 11}, {"conv2d", 13}};
  const auto scale = [&](const std::string& module, bool rs) {
    return lora_scale(*alpha_of(config, module, "test"),
                      static_cast<std::int64_t>(*rank_of(config, module, "test")), rs);
  };
  EXPECT_DOUBLE_EQ(scale("a.linear", false), 11.0 / 25);
  EXPECT_DOUBLE_EQ(scale("embed", false), 17.0 / 9);
  EXPECT_DOUBLE_EQ(scale("b.c.conv2d", false), 13.0 / 16);
  EXPECT_DOUBLE_EQ(scale("a.linear", true), 11.0 / 5);
  // A whole part must fit: "v_proj" does not match "kv_proj"; a dot ends a part.
  const PeftPattern pattern = {{"v_proj", 1}, {R"(layers\.1\d\..*q_proj)", 2}, {".*", 3}};
  EXPECT_EQ(match_pattern(pattern, "model.layers.0.v_proj", ""), 1);
  EXPECT_EQ(match_pattern(pattern, "model.layers.12.attn.q_proj", ""), 2);
  EXPECT_EQ(match_pattern(pattern, "model.layers.0.kv_proj", ""), 3);
}

}  // namespace
}  // namespace lora
