// SPDX-License-Identifier: Apache-2.0
// From PNG files and captions to a trained adapter, against diffusers + PEFT.
#include "models/sd_generate.h"
#include "models/sd_prompts.h"
#include "tests/sd/pictures.h"
#include "tests/sd/train_support.h"
#include "train/latent_cache.h"

namespace lora {
namespace {

using nlohmann::json;
using test::golden_json;
using test::GoldenRun;
using test::sd_golden;
using test::tolerance;

// The pictures, their latents, captions and text states, each compared on the way.
class PictureChain {
 public:
  PictureChain(GoldenRun& run, const json& golden)
      : run_(run),
        golden_(golden),
        expected_(read_tensors(sd_golden(kFile))),
        inputs_(read_tensors(sd_golden("train_image/inputs.safetensors"))),
        schedule_(run.model().config().schedule),
        options_(test::picture_options(golden.at("images"))),
        cache_({}, "", options_) {
    read_pictures();
    encode_captions();
  }

  Loss loss(std::int64_t number) {
    const std::string micro = join("micro_", number, ".");
    const at::Tensor vae_noise = inputs_.at(micro + "vae_noise");
    std::vector<at::Tensor> latents, text;
    for (const std::string file :
         golden_.at("micro_batches").at(static_cast<std::size_t>(number))) {
      const auto& drawn = cache_.of(run_.model(), records_.at(file), false);
      latents.push_back(drawn.sample(vae_noise[static_cast<std::int64_t>(text.size())]));
      text.push_back(states_.at(file));
    }
    const DiffusionBatch batch{.latents = at::cat(latents) * run_.model().latent_scale(),
                               .noise = inputs_.at(micro + "noise"),
                               .timesteps = inputs_.at(micro + "timesteps"),
                               .text = {at::cat(text), {}}};
    latents_.add(micro, batch.latents, expected_.at(micro + "latents"),
                 tolerance(kFile, "micro_*.latents"));
    return diffusion_loss(run_.model(), schedule_, batch, {});
  }

 private:
  static constexpr const char* kFile = "train_image/expected.safetensors";

  void read_pictures() {
    for (const ImageRecord& record : test::read_records(options_)) {
      records_[record.file.relative] = record;
    }
    test::Worst mean(join(kFile, ":mean")), logvar(join(kFile, ":logvar"));
    for (const json& one : golden_.at("images")) {
      const std::string file = one.at("file");
      const ImageRecord& record = records_.at(file);
      EXPECT_EQ(record.caption, one.at("caption").get<std::string>());
      EXPECT_EQ(training_image(record, options_).rgb, read_image(record.file.path).image.rgb);
      const auto& drawn = cache_.of(run_.model(), record, false);
      const std::string name = "image_" + file.substr(0, file.find('.'));
      mean.add(name, drawn.mean[0], expected_.at(name + ".mean"), tolerance(kFile, "image_*.mean"));
      logvar.add(name, drawn.logvar[0], expected_.at(name + ".logvar"),
                 tolerance(kFile, "image_*.logvar"));
    }
  }

  void encode_captions() {
    const at::NoGradGuard no_grad;
    const SdPrompts prompts = SdPrompts::load(sd_golden("tiny-sd15"), run_.model().kind());
    std::vector<std::string> captions;
    for (const json& one : golden_.at("images")) captions.push_back(one.at("caption"));
    const at::Tensor ids = prompts.ids(captions);
    EXPECT_TRUE(ids.equal(expected_.at("input_ids")));
    const at::Tensor states = encode_prompts(run_.model(), prompts, captions).hidden;
    test::expect_golden(kFile, "encoder_states", "encoder_states", states, expected_);
    std::int64_t row = 0;
    for (const json& one : golden_.at("images")) {
      states_[one.at("file")] = states.slice(0, row, row + 1);
      ++row;
    }
  }

  GoldenRun& run_;
  const json& golden_;
  TensorMap expected_, inputs_;
  NoiseSchedule schedule_;
  ImageDataOptions options_;
  LatentCache cache_;
  std::map<std::string, ImageRecord> records_;
  TensorMap states_;  // by file name
  test::Worst latents_{join(kFile, ":micro latents")};
};

TEST(GoldenSdTrainImage, FromFilesToTheAdapter) {
  const std::string file = "train_image/expected.json";
  const json golden = golden_json(file);
  GoldenRun run;
  run.load(golden.at("initial_lora"));
  PictureChain chain(run, golden);
  const auto trained = run.train(test::recipe(golden.at("settings"), golden.at("optimizer")),
                                 [&](std::int64_t number) { return chain.loss(number); });
  test::compare_run(file, "run", trained, golden.at("expected"));
  test::compare_weights("train_image/final_7_modules.safetensors", run);
}

}  // namespace
}  // namespace lora
