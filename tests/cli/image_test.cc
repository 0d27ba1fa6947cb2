// SPDX-License-Identifier: Apache-2.0
// The whole way with a tiny Stable Diffusion: train, continue, stop and go on, draw, compare.
#include "io/image.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/adapters/adapter_file.h"
#include "io/metrics_file.h"
#include "tests/cli/run.h"
#include "tests/paths.h"

namespace lora {
namespace {

using nlohmann::json;
using test::Ran;
using testing::Test;

constexpr const char* kPrompt = "a toy figure";

class CliImage : public Test {
 protected:
  // Version v1 for all tests.
  static void SetUpTestSuite() {
    folder_ = std::filesystem::temp_directory_path() / join("lora_cli_image_", getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    write_file_atomic(folder_ / "v1.yaml",
                      join("task_type: text-to-image\nbase_model: ", base().string(),
                           "\ntrain_data_dir: ", pictures().string(),
                           "\noutput_dir: ", (root() / "v1").string(), kRecipe));
    first_ = lora({"train", "--config", (folder_ / "v1.yaml").string(), "--json"});
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  void SetUp() override { ASSERT_EQ(first_.code, 0) << first_.err; }

  static test::Program start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), LORA_BINARY);
    return {arguments, folder_};
  }
  static Ran lora(const std::vector<std::string>& arguments) { return start(arguments).wait(); }
  // v1.yaml with changes.
  static std::vector<std::string> training(std::vector<std::string> overrides) {
    overrides.insert(overrides.begin(), {"train", "--config", (folder_ / "v1.yaml").string()});
    return overrides;
  }
  static Path base() { return test::golden() / "sd" / "tiny-sd15"; }
  static Path pictures() { return test::golden() / "sd" / "train_image" / "images"; }
  static Path root() { return folder_ / "output"; }

  static constexpr const char* kRecipe = R"(
resolution: 96
buckets: true
bucket_min: 64
bucket_max: 128
lora_rank: 2
learning_rate: 1.0e-3
batch_size: 2
max_steps: 3
warmup_steps: 0
mixed_precision: no
sample_prompts: [a toy figure]
sample_size: 64x64
sample_steps: 2
)";
  static inline Path folder_;
  static inline Ran first_;
};

TEST_F(CliImage, TrainsAVersion) {
  const json report = json::parse(first_.out);
  EXPECT_EQ(report.at("steps"), 3);
  EXPECT_EQ(report.at("unit"), "images");
  const json version = json::parse(read_file(root() / "v1" / "version.json"));
  EXPECT_EQ(version.at("base").at("prediction_type"), "epsilon");
  EXPECT_EQ(version.at("data").at("new_samples"), 8);
  const auto rows = read_metrics(root() / "v1" / "logs" / "metrics.jsonl");
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.back().at("step"), 3);
}

TEST_F(CliImage, DrawsSamplesBeforeAndAfter) {
  std::string events;
  for (const auto& entry : std::filesystem::directory_iterator(root() / "v1" / "logs")) {
    if (entry.path().filename().string().starts_with("events.")) events = read_file(entry.path());
  }
  for (const char* name : {"step-000000-0.png", "step-000003-0.png"}) {
    const Path path = root() / "v1" / "samples" / name;
    const DecodedImage sample = read_image(path);
    EXPECT_EQ(sample.image.width, 64);
    EXPECT_EQ(sample.image.height, 64);
    EXPECT_TRUE(sample.text.at("parameters").starts_with(kPrompt));
    EXPECT_NE(events.find(read_file(path)), std::string::npos) << name << " is not in TensorBoard";
  }
}

TEST_F(CliImage, BothAdapterFilesComputeTheSame) {
  const AdapterFile own = read_adapter(root() / "v1" / "pytorch_lora_weights.safetensors");
  const AdapterFile kohya = read_adapter(root() / "v1" / "v1.safetensors");
  EXPECT_EQ(kohya.dialect, "kohya");
  ASSERT_EQ(own.modules.size(), kohya.modules.size());
  double largest = 0;
  for (const AdapterModule& module : own.modules) {
    const AdapterModule* other = kohya.find(module.path);
    ASSERT_NE(other, nullptr) << module.path;
    const at::Tensor delta = module.delta();
    EXPECT_LE((delta - other->delta().reshape_as(delta)).abs().max().item<double>(), 1e-7);
    largest = std::max(largest, delta.abs().max().item<double>());
  }
  EXPECT_GT(largest, 0);
}

TEST_F(CliImage, VerifiesClean) {
  const Ran outcome = lora({"verify", (root() / "v1").string(), "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
}

TEST_F(CliImage, ContinuesWithReplay) {
  const Ran outcome =
      lora(training({"output_dir=" + (root() / "v2").string(), "init_lora_weights=v1", "replay=0.5",
                     "lora_rank=2", "sample_prompts=[]"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("the parent is reproduced"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("replay: 8 old pictures an epoch, of 8"), std::string::npos)
      << outcome.err;
  const json version = json::parse(read_file(root() / "v2" / "version.json"));
  EXPECT_EQ(version.at("parents")[0].at("name"), "v1");
  EXPECT_EQ(version.at("data").at("replay_samples"), 8);
  const Ran verified = lora({"verify", (root() / "v2").string()});
  EXPECT_EQ(verified.code, 0) << verified.out << verified.err;
}

// A committed version whose adapter is cut is an integrity failure; a loose file is wrong usage.
TEST_F(CliImage, RefusesACutParent) {
  const std::string file = "pytorch_lora_weights.safetensors";
  const Path copy = folder_ / "cut_parent" / "v1";
  std::filesystem::create_directories(copy.parent_path());
  std::filesystem::copy(root() / "v1", copy, std::filesystem::copy_options::recursive);
  const std::string whole = read_file(copy / file);
  std::filesystem::remove(copy / file);
  write_file_atomic(copy / file, whole.substr(0, whole.size() - 100));
  write_file_atomic(folder_ / "loose.safetensors", whole.substr(0, whole.size() - 100));
  const auto check = [&](const Path& parent) {
    return lora(training({"output_dir=" + (root() / "v3").string(), "--check",
                          "init_lora_weights=" + parent.string()}));
  };
  const Ran committed = check(copy), loose = check(folder_ / "loose.safetensors");
  EXPECT_EQ(committed.code, static_cast<int>(Exit::integrity)) << committed.err;
  EXPECT_NE(committed.err.find("v1 was committed whole: see `lora verify v1`"), std::string::npos)
      << committed.err;
  EXPECT_EQ(loose.code, static_cast<int>(Exit::usage)) << loose.err;
  EXPECT_NE(loose.err.find("incomplete download?"), std::string::npos) << loose.err;
}

// Latents, captions, flips and noise of a continued run are those of the whole one.
TEST_F(CliImage, GoesOnAfterSigtermToTheSameBytes) {
  const auto arguments = [&](const std::string& place) {
    return training({"output_dir=" + (folder_ / place / "v").string(), "max_steps=40", "flip=true",
                     "caption_dropout=0.2", "lora_dropout=0.1", "sample_prompts=[]"});
  };
  const Ran whole = lora(arguments("whole"));
  ASSERT_EQ(whole.code, 0) << whole.err;
  test::Program program = start(arguments("cut"));
  const Path metrics = folder_ / "cut" / "v" / "logs" / "metrics.jsonl";
  ASSERT_TRUE(program.wait_until(
      [&] { return std::filesystem::exists(metrics) && read_metrics(metrics).size() >= 3; }));
  program.send(SIGTERM);
  const Ran cut = program.wait();
  ASSERT_EQ(cut.code, static_cast<int>(Exit::interrupted)) << cut.err;
  std::vector<std::string> resumed = arguments("cut");
  resumed.push_back("--resume");
  const Ran rest = lora(resumed);
  ASSERT_EQ(rest.code, 0) << rest.err;
  for (const char* file : {"pytorch_lora_weights.safetensors", "v.safetensors"}) {
    EXPECT_EQ(read_file(folder_ / "whole" / "v" / file), read_file(folder_ / "cut" / "v" / file));
  }
}

TEST_F(CliImage, TrainsTheTextEncoderAndClassPictures) {
  const Ran outcome =
      lora(training({"output_dir=" + (root() / "with_text").string(), "train_text_encoder=true",
                     "text_encoder_lr=5e-4", "snr_gamma=5", "prior_preservation=true",
                     "class_prompt=a figure", "num_class_images=2", "sample_prompts=[]"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("class pictures: 2"), std::string::npos) << outcome.err;
  int text = 0;
  for (const AdapterModule& module : read_adapter(root() / "with_text").modules) {
    if (!module.path.starts_with("text_encoder.")) continue;
    EXPECT_TRUE(module.b.any().item<bool>()) << module.path << " has not learned";
    ++text;
  }
  EXPECT_GT(text, 0);
}

TEST_F(CliImage, GeneratesAContactSheet) {
  const std::string sheet = (folder_ / "sheet.png").string();
  const std::vector<std::string> arguments = {
      "generate", "--base", base().string(), "--version", "base",     "--version", "v1:0.8",
      "--root",   root(),   "--prompt",      kPrompt,     "--prompt", "a red cat", "--steps",
      "2",        "--size", "64x64",         "--output",  sheet,      "--json"};
  const Ran outcome = lora(arguments);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out).at("pictures"), 4);
  const DecodedImage drawn = read_image(sheet);
  EXPECT_GE(drawn.image.width, 2 * 64);
  EXPECT_GE(drawn.image.height, 2 * 64);
  const std::string text = drawn.text.at("parameters");
  EXPECT_TRUE(text.starts_with(kPrompt)) << text;
  EXPECT_NE(text.find("Steps: 2"), std::string::npos) << text;
  const Ran again = lora(arguments);
  EXPECT_EQ(again.code, static_cast<int>(Exit::usage));
  EXPECT_NE(again.err.find("never overwritten"), std::string::npos) << again.err;
}

TEST_F(CliImage, DrawsEveryPictureIntoAFolder) {
  const Path folder = root() / "drawn";
  const Ran outcome = lora({"generate", "--base", base().string(), "--version", "v1:0.8", "--root",
                            root().string(), "--prompt", kPrompt, "--seed", "7", "--count", "2",
                            "--steps", "2", "--size", "64x64", "--output", folder.string()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const int number : {1, 2}) {
    const DecodedImage drawn = read_image(folder / fmt::format("000{}-v1_0.8.png", number));
    EXPECT_EQ(drawn.image.width, 64);
    const std::string text = drawn.text.at("parameters");
    EXPECT_NE(text.find(fmt::format("Seed: {},", 6 + number)), std::string::npos) << text;
    EXPECT_NE(text.find("Lora: v1:0.8"), std::string::npos) << text;
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "sheet.png"));
  const Ran jpeg = lora({"generate", "--base", base().string(), "--prompt", kPrompt, "--output",
                         (root() / "a.jpg").string()});
  EXPECT_EQ(jpeg.code, static_cast<int>(Exit::usage));
  EXPECT_NE(jpeg.err.find("only PNG is written"), std::string::npos) << jpeg.err;
}

TEST_F(CliImage, ComparesVersionsByTheirLoss) {
  const Ran outcome =
      lora({"eval", "--base", base().string(), "--version", "base", "--version", "v1", "--root",
            root().string(), "--data", pictures().string(), "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json results = json::parse(outcome.out).at("results");
  ASSERT_EQ(results.size(), 2U);
  for (const json& result : results) EXPECT_EQ(result.at("pictures"), 8);
  const double plain = results[0].at("loss"), trained = results[1].at("loss");
  EXPECT_TRUE(std::isfinite(plain) && std::isfinite(trained));
  EXPECT_NE(plain, trained);
}

TEST_F(CliImage, EvalTakesWhatConcernsPicturesOnly) {
  const std::vector<std::string> arguments = {
      "eval",     "--base", base().string(), "--version",         "base",
      "--root",   root(),   "--data",        pictures().string(), "--json",
      "--device", "cpu",    "--dtype"};
  std::vector<std::string> exact = arguments, half = arguments, other = arguments;
  exact.push_back("f32");
  half.push_back("bf16");
  const double full = json::parse(lora(exact).out).at("loss");
  const double rounded = json::parse(lora(half).out).at("loss");
  EXPECT_NE(full, rounded);
  EXPECT_NEAR(full, rounded, 0.02 * full);
  other.insert(other.end(), {"f32", "--exact-match"});
  const Ran refused = lora(other);
  EXPECT_EQ(refused.code, static_cast<int>(Exit::usage));
  EXPECT_EQ(refused.err,
            "lora: lora eval: --exact-match: is for texts (found a --base for images); leave it "
            "out\n");
}

}  // namespace
}  // namespace lora
