// SPDX-License-Identifier: Apache-2.0
#include "models/sd_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/text.h"
#include "models/sd_kinds.h"

namespace lora {
namespace {

using Json = nlohmann::json;
using Numbers = std::vector<std::int64_t>;

using Reader = JsonReader<Json>;
constexpr const char* kRemedy = "damaged file, or not Stable Diffusion?";

// A list of sizes.
Numbers counts(const Reader& reader, const std::string& key,
               std::optional<Numbers> otherwise = {}) {
  const Numbers numbers = reader.wholes(key, std::move(otherwise));
  const auto good = [](std::int64_t number) { return number > 0 && number < 1 << 20; };
  if (!std::ranges::all_of(numbers, good)) reader.wrong(key, numbers, "numbers from 1 to 1048575");
  return numbers;
}

// A number for every level, or a list with one number a level.
Numbers per_level(const Reader& reader, const std::string& key, std::int64_t otherwise,
                  std::size_t levels) {
  const Json* found = reader.find(key);
  const bool list = found != nullptr && found->is_array();
  const Numbers numbers =
      list ? counts(reader, key) : Numbers(levels, reader.count(key, otherwise));
  if (numbers.size() != levels) {
    fail(reader.where(), ": '", key, "' has ", numbers.size(), " entries, expected ", levels,
         ", one for each of block_out_channels");
  }
  return numbers;
}

// Throws unless `key` is absent, null or one of `known`.
void only(const Reader& reader, const std::string& key, const std::vector<Json>& known) {
  const Json* found = reader.find(key);
  if (found == nullptr || std::find(known.begin(), known.end(), *found) != known.end()) return;
  fail(reader.where(), ": ", key, " = ", found->dump(),
       " is not supported; only models built like ", "SD 1.5, SD 2.x or SDXL are");
}

std::vector<bool> attention_flags(const Reader& reader, const std::string& key,
                                  const std::string& with, const std::string& without,
                                  const std::vector<bool>& otherwise) {
  std::vector<bool> flags;
  for (const std::string& type : reader.texts(key, std::vector<std::string>{})) {
    if (type != with && type != without) {
      fail(reader.where(), ": ", key, " holds '", type, "', which is not supported (known: ", with,
           ", ", without, ")");
    }
    flags.push_back(type == with);
  }
  return flags.empty() ? otherwise : flags;
}

Json read_json(const Path& path) {
  return parse_json_object<Json>(read_file(path), path.string(), kRemedy);
}

Prediction prediction_of(const Reader& reader) {
  const std::string type = reader.text("prediction_type", "epsilon");
  if (type == "epsilon") return Prediction::epsilon;
  if (type == "v_prediction") return Prediction::v;
  fail(reader.where(), ": prediction_type '", type,
       "' is not supported (known: epsilon, v_prediction)");
}

// The samplers of diffusers share one schedule of betas, but for these.
void check_scheduler_kind(const Reader& reader) {
  const std::string name = reader.text("_class_name", "");
  const bool other = name.starts_with("FlowMatch") || name.starts_with("EDM") ||
                     name.starts_with("ScoreSde") || name.starts_with("KarrasVe") ||
                     name.starts_with("CMStochastic") || name.starts_with("VQDiffusion");
  if (!other) return;
  fail(reader.where(), ": _class_name: noise of another kind than that of Stable Diffusion (found ",
       name, ", expected a scheduler with betas such as DDIMScheduler); a model trained with it ",
       "cannot be the base");
}

}  // namespace

ClipConfig clip_config(const Json& json, const std::string& where) {
  const Reader reader(json, where, kRemedy);
  ClipConfig config;
  config.vocabulary = reader.count("vocab_size", config.vocabulary);
  config.width = reader.count("hidden_size", 512);
  config.inner = reader.count("intermediate_size", 2048);
  config.layers = reader.count("num_hidden_layers", config.layers);
  config.heads = reader.count("num_attention_heads", 8);
  config.positions = reader.count("max_position_embeddings", config.positions);
  config.eps = reader.number("layer_norm_eps", config.eps);
  config.activation = reader.text("hidden_act", "quick_gelu");
  config.eos = reader.whole("eos_token_id", 49407);
  only(reader, "hidden_act", {"quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh"});
  const auto classes = reader.texts("architectures", std::vector<std::string>{});
  const bool projected =
      std::find(classes.begin(), classes.end(), "CLIPTextModelWithProjection") != classes.end();
  if (projected) config.projection = reader.count("projection_dim", 512);
  return config;
}

UNetConfig unet_config(const Json& json, const std::string& where) {
  const Reader reader(json, where, kRemedy);
  UNetConfig config;
  config.in_channels = reader.count("in_channels", config.in_channels);
  config.out_channels = reader.count("out_channels", config.out_channels);
  config.channels = counts(reader, "block_out_channels", config.channels);
  const std::size_t levels = config.channels.size();
  config.down_attention = attention_flags(reader, "down_block_types", "CrossAttnDownBlock2D",
                                          "DownBlock2D", config.down_attention);
  config.up_attention = attention_flags(reader, "up_block_types", "CrossAttnUpBlock2D", "UpBlock2D",
                                        config.up_attention);
  if (levels == 0 || config.down_attention.size() != levels ||
      config.up_attention.size() != levels) {
    fail(where, ": block_out_channels, down_block_types and up_block_types differ in length");
  }
  config.layers_per_block = reader.count("layers_per_block", config.layers_per_block);
  // The key's name is wrong in the published files: it holds the number of heads.
  const std::string heads =
      reader.has("num_attention_heads") ? "num_attention_heads" : "attention_head_dim";
  config.heads = per_level(reader, heads, 8, levels);
  config.depth = per_level(reader, "transformer_layers_per_block", 1, levels);
  config.text_width = reader.count("cross_attention_dim", 1280);
  config.groups = reader.count("norm_num_groups", config.groups);
  config.eps = reader.number("norm_eps", config.eps);
  config.linear_projection = reader.flag("use_linear_projection", false);
  config.flip_sin_to_cos = reader.flag("flip_sin_to_cos", true);
  config.freq_shift = reader.number("freq_shift", 0.0);
  config.sample_size = reader.count("sample_size", config.sample_size);
  if (reader.has("addition_embed_type")) {
    only(reader, "addition_embed_type", {"text_time"});
    config.added_time_width = reader.count("addition_time_embed_dim", 256);
    config.added_width = reader.count("projection_class_embeddings_input_dim", 2816);
  }
  for (const char* key :
       {"class_embed_type", "encoder_hid_dim", "encoder_hid_dim_type", "num_class_embeds",
        "time_cond_proj_dim", "timestep_post_act", "cross_attention_norm"}) {
    only(reader, key, {});
  }
  for (const char* key : {"only_cross_attention", "dual_cross_attention", "center_input_sample",
                          "class_embeddings_concat"}) {
    only(reader, key, {false});
  }
  only(reader, "act_fn", {"silu", "swish"});
  only(reader, "downsample_padding", {1});
  only(reader, "mid_block_scale_factor", {1});
  only(reader, "mid_block_type", {"UNetMidBlock2DCrossAttn"});
  only(reader, "resnet_time_scale_shift", {"default"});
  only(reader, "time_embedding_type", {"positional"});
  only(reader, "conv_in_kernel", {3});
  only(reader, "conv_out_kernel", {3});
  if (config.in_channels != 4) {
    fail(where, ": a UNet with ", config.in_channels, " input channels (expected 4); inpainting, ",
         "depth and edit models cannot be the base of a text-to-image LoRA");
  }
  return config;
}

VaeConfig vae_config(const Json& json, const std::string& where) {
  const Reader reader(json, where, kRemedy);
  VaeConfig config;
  config.in_channels = reader.count("in_channels", config.in_channels);
  config.latent_channels = reader.count("latent_channels", config.latent_channels);
  config.channels = counts(reader, "block_out_channels", config.channels);
  config.layers_per_block = reader.count("layers_per_block", config.layers_per_block);
  config.groups = reader.count("norm_num_groups", config.groups);
  config.scale = reader.number("scaling_factor", config.scale);
  only(reader, "act_fn", {"silu", "swish"});
  only(reader, "shift_factor", {});
  only(reader, "latents_mean", {});
  only(reader, "latents_std", {});
  only(reader, "use_quant_conv", {true});
  only(reader, "use_post_quant_conv", {true});
  only(reader, "mid_block_add_attention", {true});
  if (config.channels.empty()) fail(where, ": block_out_channels is empty");
  return config;
}

ScheduleConfig schedule_config(const Json& json, const std::string& where) {
  const Reader reader(json, where, kRemedy);
  check_scheduler_kind(reader);
  ScheduleConfig config;
  constexpr std::int64_t kMostSteps = 1'000'000;
  config.train_steps = reader.count("num_train_timesteps", config.train_steps);
  if (config.train_steps > kMostSteps) {
    reader.wrong("num_train_timesteps", config.train_steps, join("at most ", kMostSteps));
  }
  config.beta_start = reader.number("beta_start", config.beta_start);
  config.beta_end = reader.number("beta_end", config.beta_end);
  config.beta_schedule = reader.text("beta_schedule", config.beta_schedule);
  config.prediction = prediction_of(reader);
  config.zero_terminal_snr = reader.flag("rescale_betas_zero_snr", false);
  config.steps_offset = reader.whole("steps_offset", 0);
  config.set_alpha_to_one = reader.flag("set_alpha_to_one", false);
  config.spacing = reader.text("timestep_spacing", "");
  only(reader, "beta_schedule", {"scaled_linear", "linear"});
  only(reader, "trained_betas", {});
  return config;
}

namespace {

// What a folder is that has no model_index.json, in words.
std::string what_folder(const Path& folder) {
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name); };
  if (has("adapter_config.json")) return "a PEFT adapter, not a base model";
  if (has("pytorch_lora_weights.safetensors")) {
    return "a LoRA (give it as init_lora_weights), not a base model";
  }
  if (!has("config.json")) return "no Stable Diffusion model (no model_index.json)";
  const Json json = read_json(folder / "config.json");
  const Reader reader(json, folder / "config.json", kRemedy);
  const std::string type = reader.text("_class_name", "");
  if (type == "AutoencoderKL") return "a VAE alone, without UNet and text encoder";
  if (!type.empty()) return join("a ", type, " alone, one part of a diffusers model");
  const auto classes = reader.texts("architectures", std::vector<std::string>{});
  if (!classes.empty()) {
    const std::string& name = classes[0];
    const bool clip = name.starts_with("CLIP");
    return join("a ", name, clip ? " alone, one part of a diffusers model" : " language model");
  }
  return "no Stable Diffusion model (no model_index.json)";
}

}  // namespace

SdConfig read_sd_config(const Path& folder) {
  if (!std::filesystem::exists(folder / "model_index.json")) {
    fail_usage(folder.string(), ": this is ", what_folder(folder),
               "; give a diffusers folder with model_index.json or a single .safetensors "
               "checkpoint");
  }
  const Json index = read_json(folder / "model_index.json");
  const auto read = [&](const char* part, const char* file) {
    const Path path = folder / part / file;
    if (!std::filesystem::exists(path)) {
      fail(folder.string(), ": ", part, "/", file, " is missing (model_index.json describes a ",
           Reader(index, folder / "model_index.json", kRemedy).text("_class_name", "?"),
           "); not Stable Diffusion, or an incomplete download");
    }
    return std::pair(read_json(path), path.string());
  };
  SdConfig config;
  const auto [unet, unet_where] = read("unet", "config.json");
  config.unet = unet_config(unet, unet_where);
  const auto [vae, vae_where] = read("vae", "config.json");
  config.vae = vae_config(vae, vae_where);
  const auto [text, text_where] = read("text_encoder", "config.json");
  config.text = clip_config(text, text_where);
  config.kind = kind_of(config);
  if (sd_kind(config.kind).second_encoder) {
    const auto [text_2, text_2_where] = read("text_encoder_2", "config.json");
    config.text_2 = clip_config(text_2, text_2_where);
  }
  const auto [schedule, schedule_where] = read("scheduler", "scheduler_config.json");
  config.schedule = schedule_config(schedule, schedule_where);
  return config;
}

SdConfig read_architecture(const Path& json_file) {
  const Json json = read_json(json_file);
  const std::string where = json_file.string();
  const auto part = [&](const char* name) -> const Json& {
    return Reader(json, where, kRemedy).object(name);
  };
  SdConfig config;
  config.unet = unet_config(part("unet"), where);
  config.vae = vae_config(part("vae"), where);
  config.text = clip_config(part("text_encoder"), where);
  config.kind = kind_of(config);
  if (sd_kind(config.kind).second_encoder)
    config.text_2 = clip_config(part("text_encoder_2"), where);
  config.schedule = schedule_config(part("scheduler"), where);
  return config;
}

}  // namespace lora
