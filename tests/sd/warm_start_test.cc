// SPDX-License-Identifier: Apache-2.0
// A second version trained from the first, in both spellings of its adapter, against diffusers +
// PEFT.
#include "tests/sd/train_support.h"

namespace lora {
namespace {

using nlohmann::json;
using test::Batches;
using test::compare_run;
using test::compare_weights;
using test::difference;
using test::expect_within;
using test::golden_json;
using test::GoldenRun;
using test::recipe;
using test::sd_golden;
using test::tolerance;
using test::Trained;

// Loss of each probe sample on its own.
std::vector<double> probe_losses(GoldenRun& run, const Batches& batches) {
  const at::NoGradGuard no_grad;
  const TensorMap probe = read_tensors(sd_golden("warmstart/probe.safetensors"));
  std::vector<double> losses;
  for (std::int64_t i = 0; i < probe.at("timesteps").size(0); ++i) {
    const auto row = [&](const char* name) { return probe.at(name).slice(0, i, i + 1); };
    const DiffusionBatch batch{.latents = row("latents"),
                               .noise = row("noise"),
                               .timesteps = row("timesteps"),
                               .text = batches.text(row("caption_index"))};
    losses.push_back(diffusion_loss(run.model(), batches.schedule(), batch, {}).sum.item<double>());
  }
  return losses;
}

class GoldenSdWarmStart : public testing::TestWithParam<std::string> {};

TEST_P(GoldenSdWarmStart, ContinuesTheFirstVersion) {
  const std::string file = "warmstart/expected.json", variant = GetParam();
  const std::string parent = variant.substr(std::string("from_").size());
  const json golden = golden_json(file);
  const json& probes = golden.at("probe_losses_per_sample");
  const double allowed = tolerance(file, "probe losses");
  const auto check = [&](const std::string& name, const std::vector<double>& losses) {
    expect_within(file + ":probe losses " + name + " of " + variant,
                  difference(losses, probes.at(name)), allowed);
  };
  GoldenRun run;
  const Batches batches(run, "warmstart/data.safetensors", golden.at("settings"), 0);
  check("without_lora", probe_losses(run, batches));
  const std::string plain = "warmstart/" + parent + ".safetensors";
  run.load(std::filesystem::exists(sd_golden(plain)) ? plain
                                                     : "warmstart/" + parent + "_peft.safetensors");
  check(parent, probe_losses(run, batches));
  const Trained trained = run.train(recipe(golden.at("settings"), golden.at("optimizer")),
                                    [&](std::int64_t number) { return batches.loss(number); });
  compare_run(file, variant, trained, golden.at("expected").at(variant));
  check("after_" + variant, probe_losses(run, batches));
  const std::string whole = "warmstart/final_" + variant + ".safetensors";
  compare_weights(std::filesystem::exists(sd_golden(whole))
                      ? whole
                      : "warmstart/final_" + variant + "_7_modules.safetensors",
                  run);
}

std::vector<std::string> variants() {
  std::vector<std::string> names;
  if (!std::filesystem::exists(sd_golden("warmstart/expected.json"))) return names;
  const json golden = golden_json("warmstart/expected.json");
  for (const auto& [name, unused] : golden.at("expected").items()) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenSdWarmStart, testing::ValuesIn(variants()),
                         [](const auto& at) { return at.param; });

}  // namespace
}  // namespace lora
