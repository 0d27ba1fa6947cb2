// SPDX-License-Identifier: Apache-2.0
// The tiny models rewritten at test time into layouts that are met in the wild: shards, variants,
// and SD 2.x as one file with open_clip's text encoder. The outputs must be the same numbers.
#include <algorithm>
#include <fstream>

#include "models/sd_checkpoint.h"
#include "tests/sd/rewritten.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using test::kParts;
using test::sd2_folder;
using test::sd_golden;
using test::split_shards;

Path new_folder(const std::string& name) {
  const Path folder = fs::temp_directory_path() / ("lora_layouts_" + name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

Path copy_of_base(const std::string& name) { return test::copy_of_base(new_folder(name) / "base"); }

std::unique_ptr<StableDiffusion> load(const Path& path, SdLoadOptions options = {}) {
  return StableDiffusion::load(path, options);
}

std::vector<at::Tensor> outputs(const StableDiffusion& model) {
  const at::NoGradGuard no_gradient;
  const TensorMap unet = read_tensors(sd_golden("forward/unet.safetensors"));
  const at::Tensor ids = read_tensors(sd_golden("forward/text_encoder.safetensors"))["input_ids"];
  const at::Tensor pixels = read_tensors(sd_golden("forward/vae.safetensors"))["image_0.pixels"];
  const LatentDistribution latents = model.encode_image(pixels);
  return {model.encode_prompt(ids).hidden, latents.mean,
          model.decode(latents.mean * model.latent_scale()),
          model.predict(unet.at("square.latents"), unet.at("square.timesteps"),
                        {unet.at("square.encoder_hidden_states"), {}})};
}

void expect_same(const StableDiffusion& measured, const StableDiffusion& expected) {
  const auto a = outputs(measured), b = outputs(expected);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].equal(b[i])) << "output " << i;
}

TEST(GoldenSdRewritten, Shards) {
  const Path base = copy_of_base("shards");
  for (const auto& [part, stem] : kParts) split_shards(base / part, stem, 3, "");
  expect_same(*load(base), *test::load_golden("tiny-sd15"));
}

// Half precision under the variant's names, whole and in shards.
TEST(GoldenSdRewritten, HalfPrecisionVariants) {
  const Path plain = copy_of_base("fp16_plain"), variant = copy_of_base("fp16");
  for (const auto& [part, stem] : kParts) {
    const TensorMap half =
        test::in_type(read_tensors(plain / part / (stem + ".safetensors")), at::kHalf);
    fs::remove(variant / part / (stem + ".safetensors"));
    write_tensors(variant / part / (stem + ".fp16.safetensors"), half);
    write_tensors(plain / part / (stem + ".safetensors"), half);
  }
  const auto expected = load(plain);
  expect_same(*load(variant), *expected);
  for (const auto& [part, stem] : kParts) split_shards(variant / part, stem, 2, ".fp16");
  expect_same(*load(variant), *expected);
}

TEST(GoldenSdRewritten, AShardOutsideTheFolderIsRefused) {
  const Path base = copy_of_base("outside");
  fs::rename(base / "unet/diffusion_pytorch_model.safetensors", base / "unet.safetensors");
  write_file_atomic(base / "unet/diffusion_pytorch_model.safetensors.index.json",
                    R"({"weight_map": {"conv_in.weight": "../unet.safetensors"}})");
  try {
    load(base);
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), (base / "unet").string() +
                                "/diffusion_pytorch_model.safetensors.index.json: shard "
                                "'../unet.safetensors' is not a file of this folder; damaged "
                                "index?");
  }
}

// open_clip's names, written out here: query, key and value in one tensor; one layer more than the
// model uses; a transposed projection, a scale and buffers that nobody reads.
void add_open_clip(const TensorMap& text, std::int64_t layers, TensorMap& out) {
  const std::string to = "cond_stage_model.model.";
  const std::string from = "text_model.";
  out[to + "token_embedding.weight"] = text.at(from + "embeddings.token_embedding.weight");
  out[to + "positional_embedding"] = text.at(from + "embeddings.position_embedding.weight");
  for (const char* end : {"weight", "bias"}) {
    out[join(to, "ln_final.", end)] = text.at(join(from, "final_layer_norm.", end));
    for (std::int64_t i = 0; i <= layers; ++i) {
      const std::string layer = join(from, "encoder.layers.", std::min(i, layers - 1), ".");
      const std::string block = join(to, "transformer.resblocks.", i, ".");
      const auto take = [&](const std::string& name) {
        const at::Tensor tensor = text.at(join(layer, name, ".", end));
        return i < layers ? tensor : at::zeros_like(tensor);
      };
      out[join(block, "ln_1.", end)] = take("layer_norm1");
      out[join(block, "ln_2.", end)] = take("layer_norm2");
      out[join(block, "mlp.c_fc.", end)] = take("mlp.fc1");
      out[join(block, "mlp.c_proj.", end)] = take("mlp.fc2");
      out[join(block, "attn.out_proj.", end)] = take("self_attn.out_proj");
      out[join(block, "attn.in_proj_", end)] =
          at::cat({take("self_attn.q_proj"), take("self_attn.k_proj"), take("self_attn.v_proj")});
    }
  }
  out[to + "text_projection"] = at::ones({4, 4});
  out[to + "logit_scale"] = at::ones({});
  out["model_ema.decay"] = at::ones({});
}

// The folder as one file in the original layout.
Path single_file(const Path& base, const std::string& name, const Metadata& metadata) {
  const SdConfig config = read_sd_config(base);
  TensorMap out;
  const auto add = [&](SdPart part, const char* file) {
    for (const auto& [key, tensor] : read_tensors(base / file)) {
      at::Tensor value = tensor;
      // The VAE's attention consists of 1 x 1 convolutions there.
      const bool conv =
          part == SdPart::vae && key.find(".attentions.") != std::string::npos && tensor.dim() == 2;
      if (conv) value = tensor.unsqueeze(2).unsqueeze(3);
      out[original_name(part, config, key)] = value;
    }
  };
  add(SdPart::unet, "unet/diffusion_pytorch_model.safetensors");
  add(SdPart::vae, "vae/diffusion_pytorch_model.safetensors");
  add_open_clip(read_tensors(base / "text_encoder/model.safetensors"), config.text.layers, out);
  const Path file = base.parent_path() / name;
  write_tensors(file, out, metadata);
  return file;
}

TEST(GoldenSdRewritten, Sd2AsOneFile) {
  const Path base = sd2_folder(new_folder("sd2") / "base");
  const auto folder = load(base);
  ASSERT_EQ(folder->kind(), SdKind::sd2);
  EXPECT_EQ(folder->prediction(), Prediction::v);
  const SdLoadOptions options{.architecture = read_sd_config(base)};
  const auto file = load(single_file(base, "sd2.safetensors", {}), options);
  EXPECT_EQ(file->kind(), SdKind::sd2);
  expect_same(*file, *folder);
  // Half precision and a projection stored as a linear layer make no difference in the names.
  EXPECT_EQ(identify_checkpoint(base.parent_path() / "sd2.safetensors"), SdKind::sd2);
}

TEST(GoldenSdRewritten, PredictionOfSd2Files) {
  const Path base = sd2_folder(new_folder("sd2_prediction") / "base");
  SdLoadOptions options{.architecture = read_sd_config(base)};
  const auto predicted = [&](const Metadata& metadata) {
    return load(single_file(base, "sd2.safetensors", metadata), options)->prediction();
  };
  EXPECT_EQ(predicted({{"modelspec.prediction_type", "epsilon"}}), Prediction::epsilon);
  EXPECT_EQ(predicted({{"modelspec.prediction_type", "v"}}), Prediction::v);
  options.prediction = Prediction::epsilon;
  EXPECT_EQ(predicted({}), Prediction::epsilon) << "what the user says counts";
  EXPECT_EQ(predicted({{"modelspec.prediction_type", "v"}}), Prediction::epsilon);
}

// Ideal models of both kinds, and what they would say of noise at the last step.
TEST(SdPrediction, IsMeasuredWhereNobodySaysIt) {
  const double signal = 0.068;  // sqrt(acp) of step 999
  const auto noise_model = [](const at::Tensor& x, const at::Tensor& t) {
    EXPECT_EQ(t[0].item<std::int64_t>(), 999);
    return x + 0.3 * at::randn_like(x);
  };
  const auto v_model = [&](const at::Tensor& x, const at::Tensor&) {
    const at::Tensor mean_picture = at::full_like(x, 0.2);
    return signal * x - mean_picture;
  };
  EXPECT_EQ(measured_prediction(noise_model, 1000), Prediction::epsilon);
  EXPECT_EQ(measured_prediction(v_model, 1000), Prediction::v);
}

}  // namespace
}  // namespace lora
