// SPDX-License-Identifier: Apache-2.0
// Whole training runs against diffusers + PEFT: every loss, gradient norm, rate and weight norm,
// and the adapter at the end. Sizes and settings come from the files.
#include <set>

#include "tests/sd/train_support.h"

namespace lora {
namespace {

using nlohmann::json;
using test::Batches;
using test::compare_run;
using test::compare_weights;
using test::golden_json;
using test::GoldenRun;
using test::recipe;
using test::sd_golden;
using test::tolerance;
using test::Trained;

// The stored adapter after training a variant.
std::string final_file(const std::string& variant) {
  if (variant == "strong") return "warmstart/v1_peft.safetensors";
  const std::string whole = "train/final_" + variant + ".safetensors";
  return std::filesystem::exists(sd_golden(whole))
             ? whole
             : "train/final_" + variant + "_7_modules.safetensors";
}

// kohya_style has an initial file of its own; text_encoder adds a second one.
void load_initial(GoldenRun& run, const std::string& variant) {
  const std::string own = "train/init_" + variant + ".safetensors";
  if (std::filesystem::exists(sd_golden(own))) return run.load(own);
  run.load("train/init_lora.safetensors");
  if (variant == "text_encoder") run.load("train/init_lora_te.safetensors");
}

class GoldenSdTraining : public testing::TestWithParam<std::string> {};

TEST_P(GoldenSdTraining, EveryNumberOfTheRun) {
  const std::string file = "train/expected.json";
  const json golden = golden_json(file);
  const json settings = golden.at("variants").at(GetParam());
  GoldenRun run;
  load_initial(run, GetParam());
  const Batches batches(run, "train/data.safetensors", settings, golden.at("class_prompt_index"));
  const Trained trained = run.train(recipe(settings, golden.at("optimizer")),
                                    [&](std::int64_t number) { return batches.loss(number); });
  compare_run(file, GetParam(), trained, golden.at("expected").at(GetParam()));
  compare_weights(final_file(GetParam()), run);
}

std::vector<std::string> variants() {
  std::vector<std::string> names;
  if (!std::filesystem::exists(sd_golden("train/expected.json"))) return names;
  const json golden = golden_json("train/expected.json");
  for (const auto& [name, unused] : golden.at("variants").items()) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenSdTraining, testing::ValuesIn(variants()),
                         [](const auto& at) { return at.param; });

// N of every "update_N.<LoRA tensor>".
std::set<std::int64_t> updates_of(const TensorMap& tensors) {
  const std::string head = "update_";
  std::set<std::int64_t> numbers;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(head)) numbers.insert(std::stoll(name.substr(head.size())));
  }
  return numbers;
}

// What stands between data and update in variant base: noisy latents, target, prediction, and the
// gradients of two updates.
TEST(GoldenSdTrainingParts, NoisingPredictionAndGradients) {
  const std::string file = "train/debug_base.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const json golden = golden_json("train/expected.json");
  const json settings = golden.at("variants").at("base");
  GoldenRun run;
  run.load("train/init_lora.safetensors");
  const Batches batches(run, "train/data.safetensors", settings, golden.at("class_prompt_index"));
  for (std::int64_t i = 0; expected.contains(join("micro_", i, ".noisy")); ++i) {
    const at::NoGradGuard no_grad;
    const std::string micro = join("micro_", i, ".");
    const DiffusionBatch batch = batches.batch(i);
    const NoiseSchedule& schedule = batches.schedule();
    const at::Tensor noisy = schedule.add_noise(batch.latents, batch.noise, batch.timesteps);
    test::expect_golden(file, "noisy", micro + "noisy", noisy, expected);
    EXPECT_TRUE(schedule.target(batch.latents, batch.noise, batch.timesteps)
                    .equal(expected.at(micro + "target")));
    test::expect_golden(file, "model_pred", micro + "model_pred",
                        run.model().predict(noisy, batch.timesteps, batch.text), expected);
  }
  const std::int64_t accumulation = settings.at("accum");
  const std::set<std::int64_t> updates = updates_of(expected);
  ASSERT_FALSE(updates.empty());
  for (const std::int64_t update : updates) {
    run.load("train/init_lora.safetensors");
    run.train(
        recipe(settings, golden.at("optimizer")),
        [&](std::int64_t number) { return batches.loss(number); }, update * accumulation);
    test::Worst worst(join(file, ":gradients of update ", update));
    for (const auto& [name, gradient] : expected) {
      const std::string head = join("update_", update, ".");
      if (!name.starts_with(head)) continue;
      const std::size_t end = name.rfind(".lora_");
      const Adapter* adapter = run.adapter(name.substr(head.size(), end - head.size()));
      ASSERT_NE(adapter, nullptr) << name;
      const at::Tensor& value = name.substr(end) == ".lora_A.weight" ? adapter->a : adapter->b;
      worst.add(name, value.grad(), gradient, tolerance(file, "gradients"));
    }
  }
}

}  // namespace
}  // namespace lora
