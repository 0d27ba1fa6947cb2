// SPDX-License-Identifier: Apache-2.0
// `lora train` from nothing: the files of a version, refusals, failures.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/cli/run.h"

namespace lora::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

TEST(CliTrain, WritesTheFilesOfTheContract) {
  const Workplace& place = workplace();
  for (const char* name :
       {"adapter_model.safetensors", "adapter_config.json", "pytorch_lora_weights.safetensors",
        "version.json", "SHA256SUMS", "config.yaml", "config.resolved.yaml", "data_manifest.tsv",
        "probe.json", "logs/metrics.jsonl", "logs/train.log"}) {
    EXPECT_TRUE(place.has(join("output/v1/", name))) << name;
  }
  EXPECT_EQ(place.read("output/v1/adapter_model.safetensors"), place.adapter("v1"));
  EXPECT_EQ(place.read("output/v1/config.yaml"), place.read("v1.yaml"));
  const Ran sums = place.shell("cd output/v1 && sha256sum -c SHA256SUMS");
  EXPECT_EQ(sums.code, 0) << sums.out << sums.err;
  EXPECT_THAT(sums.out, HasSubstr("adapter_model.safetensors: OK"));
  EXPECT_FALSE(place.has("output/v1/checkpoints"));  // no longer needed
  bool events = false;
  for (const auto& entry : fs::directory_iterator(place / "output/v1/logs")) {
    events = events || entry.path().filename().string().starts_with("events.out.tfevents.");
  }
  EXPECT_TRUE(events);
}

TEST(CliTrain, TheAdapterConfigIsPefts) {
  const json config = json::parse(workplace().read("output/v1/adapter_config.json"));
  EXPECT_EQ(config.at("peft_type"), "LORA");
  EXPECT_EQ(config.at("task_type"), "CAUSAL_LM");
  EXPECT_EQ(config.at("r"), 4);
  EXPECT_EQ(config.at("lora_alpha"), 8);
  EXPECT_EQ(config.at("target_modules"), json({"q_proj", "v_proj"}));
  EXPECT_EQ(config.at("inference_mode"), json(true));
  for (const char* absent : {"replay", "base_sha256", "parent", "version", "init_lora_weights"}) {
    EXPECT_FALSE(config.contains(absent)) << absent;
  }
}

TEST(CliTrain, RecordsTheRun) {
  const Workplace& place = workplace();
  const json version = json::parse(place.read("output/v1/version.json"));
  EXPECT_EQ(version.at("name"), "v1");
  EXPECT_EQ(version.at("id").get<std::string>().size(), 64U);
  std::ifstream metrics(place / "output/v1/logs/metrics.jsonl");
  int step = 0;
  for (std::string line; std::getline(metrics, line);) {
    EXPECT_EQ(json::parse(line).at("step"), ++step);
  }
  EXPECT_EQ(step, 12);
  EXPECT_THAT(place.read("output/v1/logs/train.log"), HasSubstr("step"));
  EXPECT_THAT(place.read("output/v1/data_manifest.tsv"), HasSubstr("\told.jsonl\t24\n"));
  EXPECT_GT(json::parse(place.read("output/v1/probe.json")).at("loss").get<double>(), 0);
}

TEST(CliTrain, TheResolvedConfigurationRepeatsTheRun) {
  const Workplace& place = workplace();
  const Ran again = place.train("output/v1/config.resolved.yaml", {"output_dir=./output/repeated"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(place.adapter("repeated"), place.adapter("v1"));
}

TEST(CliTrain, NeverOverwrites) {
  const Workplace& place = workplace();
  const std::string before = place.read("output/v1/version.json");
  const Ran again = place.train("v1.yaml", {});
  EXPECT_EQ(again.code, 2);
  const std::string refusal =
      "./output/v1: this version exists, and versions are never overwritten; choose a new "
      "output_dir";
  EXPECT_EQ(again.err, "checks: 1 error\nlora: preflight W12: " + refusal + "\n");
  const Ran checked = place.train("v1.yaml", {"--check", "--json"});
  EXPECT_EQ(checked.code, 2);
  const json failed = {{"id", "W12"}, {"verdict", "error"}, {"message", refusal}};
  EXPECT_EQ(json::parse(checked.out),
            (json{{"passed", false}, {"checks", json::array({failed})}}));
  EXPECT_EQ(place.train("v1.yaml", {"--check"}).err, again.err);
  EXPECT_EQ(place.train("v1.yaml", {"--resume"}).code, 2);
  EXPECT_EQ(place.read("output/v1/version.json"), before);
}

TEST(CliTrain, ChecksWithoutWriting) {
  const Workplace& place = workplace();
  const Ran plain = place.train("v1.yaml", {"output_dir=./output/checked", "--check"});
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_THAT(plain.out, HasSubstr("check passed: "));
  EXPECT_THAT(plain.err, HasSubstr("E02 warning epochs: "));
  const Ran report = place.train("v1.yaml", {"output_dir=./output/checked", "--check", "--json"});
  const json checks = json::parse(report.out);
  EXPECT_EQ(checks.at("passed"), json(true));
  EXPECT_EQ(checks.at("steps"), 12);
  EXPECT_FALSE(place.has("output/checked"));
}

TEST(CliTrain, ReportsAsJson) {
  const Workplace& place = workplace();
  const Ran run = place.train("v1.yaml", {"output_dir=./output/reported", "max_steps=2", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const json report = json::parse(run.out);
  EXPECT_EQ(report.at("version"), "reported");
  EXPECT_EQ(report.at("steps"), 2);
  EXPECT_EQ(report.at("id"), json::parse(place.read("output/reported/version.json")).at("id"));
}

TEST(CliTrain, AllConfigurationErrorsAtOnce) {
  const Workplace& place = workplace();
  place.write("broken.yaml",
              "base_model: " + place.base() +
                  "\ntrain_data_dir: old.jsonl\noutput_dir: ./output/broken\nlora_rnk: 4\n"
                  "batch_size: none\n");
  const Ran run = place.train("broken.yaml", {});
  EXPECT_EQ(run.code, 2);
  EXPECT_THAT(run.err, HasSubstr("broken.yaml:4:1: lora_rnk: unknown key"));
  EXPECT_THAT(run.err, HasSubstr("did you mean 'lora_rank'?"));
  EXPECT_THAT(run.err, HasSubstr("broken.yaml:5:13: batch_size: "));
  EXPECT_FALSE(place.has("output/broken"));
}

TEST(CliTrain, StopsWhereNumbersAreNotFinite) {
  const Workplace& place = workplace();
  const Ran run =
      place.train("v1.yaml", {"output_dir=./output/nan", "lora_alpha=1e38", "learning_rate=10"});
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, testing::ContainsRegex(
                           "lora: step [0-9]+: the (loss|gradient) is not finite \\(batch: 2 rows "
                           "of [0-9]+ tokens, samples [0-9]+, [0-9]+\\); no adapter was saved"));
  EXPECT_FALSE(place.has("output/nan/version.json"));
  EXPECT_FALSE(place.has("output/nan/pytorch_lora_weights.safetensors"));
}

}  // namespace
}  // namespace lora::test
