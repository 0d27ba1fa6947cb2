// SPDX-License-Identifier: Apache-2.0
#include "tests/sd/sd_support.h"

namespace lora {
namespace {

using test::load_golden;
using test::sd_golden;

TEST(GoldenSdVae, both_pictures_there_and_back) {
  const std::string file = "forward/vae.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const auto model = load_golden("tiny-sd15");
  for (int i = 0; expected.contains(join("image_", i, ".pixels")); ++i) {
    const std::string image = join("image_", i, ".");
    const auto check = [&](const std::string& name, const at::Tensor& measured) {
      test::expect_golden(file, image + name, image + name, measured, expected);
    };
    const LatentDistribution latents = model->encode_image(expected.at(image + "pixels"));
    check("moments", model->vae()->moments(expected.at(image + "pixels")));
    check("mean", latents.mean);
    check("logvar", latents.logvar);
    check("std", (latents.logvar * 0.5).exp());
    const at::Tensor drawn = latents.sample(expected.at(image + "noise"));
    check("latent_unscaled", drawn);
    check("latent_scaled", drawn * model->latent_scale());
    check("latent_mode_scaled", latents.sample() * model->latent_scale());
    check("decoded", model->decode(drawn * model->latent_scale()));
  }
}

TEST(GoldenSdVae, every_block) {
  const std::string file = "forward/vae_blocks.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const auto model = load_golden("tiny-sd15");
  const test::Recorder recorder;
  const LatentDistribution latents = model->encode_image(expected.at("input"));
  const at::Tensor output = model->vae()->decode(latents.mean);
  test::Worst worst(file);
  for (const auto& [name, tensor] : expected) {
    if (name == "input") continue;
    const bool whole = name == "output";
    ASSERT_TRUE(whole || recorder.outputs().contains(name)) << name;
    worst.add(name, whole ? output : recorder.outputs().at(name), tensor,
              test::tolerance(file, name));
  }
}

// Files of before 2023 name the attention query, key, value, proj_attn.
TEST(GoldenSdVae, old_attention_names) {
  const auto model = load_golden("tiny-sd15");
  TensorMap renamed;
  for (const auto& [name, tensor] : test::read_weights(sd_golden("tiny-sd15/vae"))) {
    std::string old = name;
    for (const auto& [now, before] :
         std::map<std::string, std::string>{{"to_q.", "query."},
                                            {"to_k.", "key."},
                                            {"to_v.", "value."},
                                            {"to_out.0.", "proj_attn."}}) {
      if (const std::size_t at = old.find(now); at != std::string::npos) {
        old.replace(at, now.size(), before);
      }
    }
    renamed[old] = tensor;
  }
  test::MemoryWeights weights(renamed);
  Modules modules(weights, {.dtype = at::kFloat});
  const Vae vae(model->config().vae, modules);
  const at::Tensor pixels = read_tensors(sd_golden("forward/vae.safetensors"))["image_0.pixels"];
  EXPECT_TRUE(vae.moments(pixels).equal(model->vae()->moments(pixels)));
}

}  // namespace
}  // namespace lora
