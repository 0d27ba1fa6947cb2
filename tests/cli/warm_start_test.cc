// SPDX-License-Identifier: Apache-2.0
// `lora train` from a parent: what is taken over, what is refused.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/cli/run.h"

namespace lora::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

// A copy of v1 outside of the output folder, to be damaged.
Path copy_of_v1(const std::string& name) {
  const Path copy = workplace() / name;
  fs::remove_all(copy);
  fs::copy(workplace() / "output/v1", copy, fs::copy_options::recursive);
  return copy;
}

void flip_byte(const Path& file, std::size_t place) {
  std::string bytes = read_file(file);
  bytes.at(place) = static_cast<char>(bytes[place] ^ 0x10);
  std::ofstream(file, std::ios::binary) << bytes;
}

TEST(CliWarmStart, ContinuesWithReplay) {
  const Workplace& place = workplace();
  const Ran run = place.train("v2.yaml", {"output_dir=./output/next"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("warm start: 12 of 12 modules (24 tensors), rank 4, scale 2, "
                                 "parent v1\n"));
  EXPECT_THAT(run.err, HasSubstr(": the parent is reproduced\n"));
  EXPECT_THAT(run.err, HasSubstr("replay: 24 old samples an epoch, of 24 of the parent's\n"));
  const json version = json::parse(place.read("output/next/version.json"));
  const json parent = json::parse(place.read("output/v1/version.json"));
  EXPECT_EQ(version.at("parents").at(0).at("name"), "v1");
  EXPECT_EQ(version.at("parents").at(0).at("id"), parent.at("id"));
  EXPECT_NEAR(version.at("recipe").at("peak_learning_rate").get<double>(), 0.4 * 2e-3, 1e-12);
  EXPECT_THAT(place.read("output/next/data_manifest.tsv"), HasSubstr("\told.jsonl\t"));
  EXPECT_NE(place.adapter("next"), place.adapter("v1"));
}

TEST(CliWarmStart, FindsTheParentByNameFileAndFolder) {
  for (const char* parent : {"v1", "output/v1", "./output/v1/adapter_model.safetensors"}) {
    const Ran run = workplace().train(
        "v2.yaml", {join("init_lora_weights=", parent), "output_dir=./output/found", "--check"});
    EXPECT_EQ(run.code, 0) << parent << run.err;
  }
}

TEST(CliWarmStart, AGrownParentComputesTheSame) {
  const Workplace& place = workplace();
  const Ran run = place.train(
      "v2.yaml", {"output_dir=./output/grown", "rank_policy=grow", "lora_rank=6", "max_steps=2"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("W04 info    lora_rank: the parent's 4 grow to 6, computing the "
                                 "same\n"));
  EXPECT_THAT(run.err, HasSubstr(": the parent is reproduced\n"));
  const json config = json::parse(place.read("output/grown/adapter_config.json"));
  EXPECT_EQ(config.at("r"), 6);
  EXPECT_EQ(config.at("lora_alpha"), 12);
  EXPECT_EQ(place.lora({"verify", "grown"}).code, 0);
  const Ran smaller =
      place.train("v2.yaml", {"output_dir=./output/less", "rank_policy=grow", "lora_rank=2"});
  EXPECT_EQ(smaller.code, 2);
  EXPECT_THAT(smaller.err, HasSubstr("preflight W04: lora_rank: differs from the parent's"));
}

TEST(CliWarmStart, WhatIsNotAvailableIsRefused) {
  for (const char* setting :
       {"rank_policy=shrink", "targets_policy=add", "targets_policy=freeze", "targets_policy=drop",
        "alpha_policy=rescale", "retain=patch", "retain=anchor", "retain=distill", "guard=stop"}) {
    const Ran run = workplace().train("v2.yaml", {"output_dir=./output/later", setting});
    EXPECT_EQ(run.code, 2) << setting;
    EXPECT_THAT(run.err, HasSubstr("is not available yet in this version; ")) << setting;
    EXPECT_FALSE(workplace().has("output/later"));
  }
}

TEST(CliWarmStart, AWordThatIsNeitherVersionNorInitialisation) {
  const Ran run = workplace().train("v2.yaml", {"init_lora_weights=nonsense"});
  EXPECT_EQ(run.code, 2);
  EXPECT_EQ(run.err,
            "lora: command line: init_lora_weights: neither a version to continue from nor an "
            "initialisation (found 'nonsense', expected a path, a version in output, or true, "
            "false, gaussian)\n");
}

TEST(CliWarmStart, ADamagedParentIsAnError) {
  const Path copy = copy_of_v1("damaged");
  const Path weights = copy / "pytorch_lora_weights.safetensors";
  flip_byte(weights, fs::file_size(weights) / 2);
  const std::vector<std::string> settings = {"init_lora_weights=./damaged",
                                             "output_dir=./output/heir"};
  const Ran flipped = workplace().train("v2.yaml", settings);
  EXPECT_EQ(flipped.code, 2);
  EXPECT_THAT(flipped.err, HasSubstr("preflight W01: init_lora_weights: parent damaged does not "
                                     "match what was recorded of it"));
  for (const char* name : {"pytorch_lora_weights.safetensors", "adapter_model.safetensors"}) {
    fs::resize_file(copy / name, 1000);
  }
  const Ran cut = workplace().train("v2.yaml", settings);
  EXPECT_EQ(cut.code, 3);
  EXPECT_THAT(cut.err, HasSubstr("damaged/"));
  EXPECT_THAT(cut.err, Not(HasSubstr("this looks like a bug")));
  EXPECT_FALSE(workplace().has("output/heir"));
}

TEST(CliWarmStart, AnUnfinishedParentIsAnError) {
  fs::remove(copy_of_v1("unfinished") / "version.json");
  const Ran run = workplace().train("v2.yaml", {"init_lora_weights=./unfinished"});
  EXPECT_EQ(run.code, 2);
  EXPECT_THAT(run.err, HasSubstr("this run was not finished (no version.json)"));
}

TEST(CliWarmStart, AProbeThatIsNotReproducedStopsTheRun) {
  const Path file = copy_of_v1("probed") / "probe.json";
  json probe = json::parse(read_file(file));
  probe["loss"] = probe["loss"].get<double>() + 0.01;
  std::ofstream(file) << probe.dump();
  const std::vector<std::string> settings = {"init_lora_weights=./probed",
                                             "output_dir=./output/heir"};
  EXPECT_EQ(workplace().train("v2.yaml", settings).code, 2);  // W01: the file's hash
  const Ran run = workplace().train("v2.yaml", {settings[0], settings[1], "allow=parent-changed"});
  EXPECT_EQ(run.code, 3);
  EXPECT_THAT(run.err, HasSubstr("lora: W08: "));
  EXPECT_THAT(run.err, HasSubstr("the loaded adapter does not reproduce probed (found probe loss"));
  EXPECT_FALSE(workplace().has("output/heir"));
}

}  // namespace
}  // namespace lora::test
