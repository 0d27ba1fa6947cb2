// SPDX-License-Identifier: Apache-2.0
// Folder and single file, SDXL, name rules, wrong files.
#include <fstream>

#include "tests/sd/sd_support.h"

namespace lora {
namespace {

using test::load_golden;
using test::sd_golden;

TEST(GoldenSdLayouts, single_files_equal_the_folder) {
  const auto folder = load_golden("tiny-sd15");
  const TensorMap inputs = read_tensors(sd_golden("forward/unet.safetensors"));
  const at::Tensor ids = read_tensors(sd_golden("forward/text_encoder.safetensors"))["input_ids"];
  const at::Tensor pixels = read_tensors(sd_golden("forward/vae.safetensors"))["image_0.pixels"];
  const at::NoGradGuard no_gradient;
  const auto outputs = [&](const StableDiffusion& model) {
    const LatentDistribution latents = model.encode_image(pixels);
    return std::vector<at::Tensor>{
        model.encode_prompt(ids).hidden, latents.mean, latents.logvar,
        model.decode(latents.mean * model.latent_scale()),
        model.predict(inputs.at("square.latents"), inputs.at("square.timesteps"),
                      {inputs.at("square.encoder_hidden_states"), {}})};
  };
  const auto expected = outputs(*folder);
  for (const char* file : {"tiny-sd15.safetensors", "tiny-sd15-fp16.safetensors"}) {
    const auto single = load_golden(join("tiny-sd15-single/", file));
    EXPECT_EQ(single->kind(), SdKind::sd1);
    const auto measured = outputs(*single);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(measured[i].equal(expected[i])) << file << " output " << i;
    }
  }
  test::report("tiny-sd15-single: both files equal the folder (differences)", 0, 0);
}

TEST(GoldenSdLayouts, names_follow_the_map) {
  const auto map = test::golden_json("tiny-sd15-single/key_map.json");
  const SdConfig config = read_architecture(sd_golden("tiny-sd15-single/architecture.json"));
  const std::map<std::string, SdPart> parts = {
      {"unet", SdPart::unet}, {"vae", SdPart::vae}, {"text_encoder", SdPart::text}};
  for (const auto& row : map["rows"]) {
    const SdPart part = parts.at(row[0].get<std::string>());
    EXPECT_EQ(original_name(part, config, row[1].get<std::string>()), row[3].get<std::string>());
  }
}

// The 1130 names of the real SD 1.5.
TEST(DataSdLayouts, names_of_the_real_model) {
  const Path path = test::data() / "sd15/keymap/stable_diffusion_sd1.json";
  LORA_SKIP_WITHOUT(path);
  const auto map = nlohmann::json::parse(read_file(path))["ldm_diffusers_keymap"];
  const std::map<std::string, SdPart> parts = {
      {"unet_", SdPart::unet}, {"vae_", SdPart::vae}, {"te_", SdPart::text}};
  const SdConfig config = sd_preset(SdKind::sd1);
  int checked = 0;
  for (const auto& [original, value] : map.items()) {
    const auto name = value.get<std::string>();
    for (const auto& [prefix, part] : parts) {
      if (!name.starts_with(prefix)) continue;
      EXPECT_EQ(original_name(part, config, name.substr(prefix.size())), original);
      ++checked;
    }
  }
  EXPECT_EQ(checked, 1130);
}

// The preset is what the published configuration files say.
TEST(DataSdLayouts, preset_of_the_real_model) {
  const Path folder = test::data() / "sd15";
  LORA_SKIP_WITHOUT(folder);
  const SdConfig read = read_sd_config(folder), preset = sd_preset(SdKind::sd1);
  EXPECT_EQ(read.kind, SdKind::sd1);
  EXPECT_EQ(read.unet.channels, preset.unet.channels);
  EXPECT_EQ(read.unet.heads, preset.unet.heads);
  EXPECT_EQ(read.unet.text_width, preset.unet.text_width);
  EXPECT_EQ(read.vae.channels, preset.vae.channels);
  EXPECT_EQ(read.vae.scale, preset.vae.scale);
  EXPECT_EQ(read.text.layers, preset.text.layers);
  EXPECT_EQ(read.text.inner, preset.text.inner);
  EXPECT_EQ(read.text.eos, preset.text.eos);
  EXPECT_EQ(read.schedule.prediction, preset.schedule.prediction);
  EXPECT_EQ(read.schedule.steps_offset, preset.schedule.steps_offset);
}

void check_sdxl(const StableDiffusion& model, const std::string& what) {
  const std::string file = "sdxl/forward.safetensors";
  const TensorMap given = read_tensors(sd_golden(file));
  const at::NoGradGuard no_gradient;
  const auto check = [&](const std::string& name, const at::Tensor& measured) {
    test::expect_near(file + ":" + name + what, measured, given.at(name),
                      test::tolerance(file, name));
  };
  const TextStates text = model.encode_prompt(given.at("input_ids"), given.at("input_ids_2"));
  const std::int64_t first = given.at("hidden_states_1_penultimate").size(2);
  check("hidden_states_1_penultimate", text.hidden.slice(2, 0, first));
  check("hidden_states_2_penultimate", text.hidden.slice(2, first));
  check("pooled_2", text.pooled);
  check("encoder_hidden_states", text.hidden);
  check("epsilon",
        model.predict(given.at("latents"), given.at("timesteps"), text, given.at("time_ids")));
  const LatentDistribution latents = model.encode_image(given.at("vae_pixels"));
  check("vae_mean", latents.mean);
  check("vae_logvar", latents.logvar);
  check("vae_decoded", model.decode(latents.mean * model.latent_scale()));
}

TEST(GoldenSdxl, folder) {
  const auto model = load_golden("sdxl/tiny-sdxl");
  EXPECT_EQ(model->kind(), SdKind::sdxl);
  const auto facts = test::golden_json("sdxl/sdxl.json");
  EXPECT_DOUBLE_EQ(model->latent_scale(), facts.at("scaling_factor").get<double>());
  check_sdxl(*model, "");
}

TEST(GoldenSdxl, single_file) {
  SdLoadOptions options;
  options.architecture = read_sd_config(sd_golden("sdxl/tiny-sdxl"));
  const auto model = StableDiffusion::load(sd_golden("sdxl/tiny-sdxl-fp16.safetensors"), options);
  EXPECT_EQ(model->kind(), SdKind::sdxl);
  check_sdxl(*model, " (single file)");
}

TEST(GoldenSdxl, every_block) {
  const std::string file = "sdxl/unet_blocks.safetensors";
  const TensorMap expected = read_tensors(sd_golden(file));
  const TensorMap given = read_tensors(sd_golden("sdxl/forward.safetensors"));
  const auto model = load_golden("sdxl/tiny-sdxl");
  const at::NoGradGuard no_gradient;
  const test::Recorder recorder;
  const TextStates text = {given.at("encoder_hidden_states"), given.at("pooled_2")};
  model->predict(given.at("latents"), given.at("timesteps"), text, given.at("time_ids"));
  test::Worst worst(file);
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(recorder.outputs().contains(name)) << name;
    const at::Tensor& all = recorder.outputs().at(name);
    const std::int64_t rows = tensor.size(0);
    worst.add(name, all.slice(0, 0, rows), tensor, test::tolerance(file, "all blocks"));
  }
}

std::string error_of(const Path& path) {
  try {
    StableDiffusion::load(path, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "loaded";
}

TEST(GoldenSdLayouts, wrong_files_are_named) {
  const auto expect = [](const Path& path, const char* words) {
    const std::string text = error_of(path);
    EXPECT_NE(text.find(words), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  };
  expect(sd_golden("lora/c_kohya_attn.safetensors"), "a LoRA");
  expect(sd_golden("lora/b_peft_lora_A_B.safetensors"), "a LoRA");
  expect(sd_golden("lora/a_diffusers_lora_down_up.safetensors"), "a LoRA");
  expect(sd_golden("lora/e_processor_to_q_lora.safetensors"), "a LoRA");
  expect(sd_golden("tiny-sd15/vae"), "a VAE alone");
  const auto expect_file = [&](const Path& weights, const char* words) {
    const Path file = std::filesystem::temp_directory_path() / "lora_test_weights.safetensors";
    write_tensors(file, test::read_weights(weights));
    expect(file, words);
    std::filesystem::remove(file);
  };
  expect_file(sd_golden("tiny-sd15/vae"), "a VAE alone");
  expect_file(sd_golden("tiny-sd15/unet"), "a UNet alone");
  expect(sd_golden("tiny-sd15/text_encoder"), "CLIPTextModel alone");
  for (const std::string& family : test::families()) {
    expect(test::llm(family) / "model", "language model");
    expect_file(test::llm(family) / "model", "a language model");
  }
  expect(sd_golden("nowhere"), "no such file");
  const Path pickle = std::filesystem::temp_directory_path() / "lora_test_pickle.ckpt";
  std::ofstream(pickle, std::ios::binary) << std::string("PK\x03\x04", 4) << std::string(200, 'x');
  expect(pickle, "pickle");
  std::ofstream(pickle) << "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n";
  expect(pickle, "LFS");
  std::filesystem::remove(pickle);
}

TEST(GoldenSdLayouts, layers_have_the_names_that_adapters_use) {
  const auto model = load_golden("tiny-sd15");
  std::map<std::string, int> kinds;
  model->for_each_layer([&](const std::string& name, Layer& layer) {
    EXPECT_TRUE(layer.weight.defined()) << name;
    for (const char* end : {".to_q", ".to_k", ".to_v", ".to_out.0"}) {
      if (name.starts_with("unet.") && name.ends_with(end)) ++kinds["attention"];
    }
    ++kinds[name.starts_with("unet.") ? "unet" : "text"];
  });
  // Those that kohya's programs adapt, and the four that they leave out: conv_in, conv_out and the
  // two of time_embedding.
  const auto counts = test::golden_json("lora/lora.json").at("module_counts");
  EXPECT_EQ(kinds["attention"], counts.at("attention").get<int>());
  EXPECT_EQ(kinds["unet"], counts.at("kohya_unet_with_conv3x3").get<int>() + 4);
  EXPECT_EQ(kinds["text"], 6 * model->config().text.layers);
}

}  // namespace
}  // namespace lora
