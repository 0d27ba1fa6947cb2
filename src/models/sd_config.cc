// SPDX-License-Identifier: Apache-2.0
#include "models/sd_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace lora {
namespace {

using Json = nlohmann::json;
using Numbers = std::vector<std::int64_t>;

// Reads settings with defaults; names file and key in errors.
class Reader {
 public:
  Reader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) fail(where_, ": not a JSON object; damaged file?");
  }

  template <typename T>
  T get(const std::string& key, const T& otherwise) const {
    const auto at = json_.find(key);
    if (at == json_.end() || at->is_null()) return otherwise;
    try {
      return at->get<T>();
    } catch (const Json::exception&) {
      fail(where_, ": '", key, "' is ", at->dump(), ", which is not of the expected kind");
    }
  }

  // A number for every level, or a list with one number a level.
  Numbers per_level(const std::string& key, const Numbers& otherwise, std::size_t levels) const {
    const auto at = json_.find(key);
    if (at == json_.end() || at->is_null()) return otherwise;
    const Numbers list = at->is_array() ? get<Numbers>(key, {}) : Numbers(levels, get(key, 0L));
    if (list.size() != levels) {
      fail(where_, ": '", key, "' has ", list.size(), " entries, expected ", levels,
           ", one for each of block_out_channels");
    }
    return list;
  }

  // Throws unless `key` is absent, null or one of `known`.
  void only(const std::string& key, const std::vector<Json>& known) const {
    const auto at = json_.find(key);
    if (at == json_.end() || at->is_null()) return;
    if (std::find(known.begin(), known.end(), *at) != known.end()) return;
    fail(where_, ": ", key, " = ", at->dump(), " is not supported; only models built like SD 1.5, ",
         "SD 2.x or SDXL are");
  }

  bool has(const std::string& key) const { return json_.contains(key) && !json_[key].is_null(); }

 private:
  const Json& json_;
  std::string where_;
};

std::vector<bool> attention_flags(const Reader& reader, const std::string& key,
                                  const std::string& with, const std::string& without,
                                  const std::vector<bool>& otherwise, const std::string& where) {
  std::vector<bool> flags;
  for (const std::string& type : reader.get(key, std::vector<std::string>{})) {
    if (type != with && type != without) {
      fail(where, ": ", key, " holds '", type, "', which is not supported (known: ", with, ", ",
           without, ")");
    }
    flags.push_back(type == with);
  }
  return flags.empty() ? otherwise : flags;
}

Json read_json(const Path& path) {
  Json json = Json::parse(read_file(path), nullptr, false);
  if (json.is_discarded()) fail(path.string(), ": not JSON; damaged file?");
  return json;
}

Prediction prediction_of(const Reader& reader, const std::string& where) {
  const std::string type = reader.get<std::string>("prediction_type", "epsilon");
  if (type == "epsilon") return Prediction::epsilon;
  if (type == "v_prediction") return Prediction::v;
  fail(where, ": prediction_type '", type, "' is not supported (known: epsilon, v_prediction)");
}

}  // namespace

std::string_view kind_name(SdKind kind) {
  switch (kind) {
    case SdKind::sd1:
      return "SD 1.5";
    case SdKind::sd2:
      return "SD 2.x";
    case SdKind::sdxl:
      return "SDXL";
  }
  return "";
}

ClipConfig clip_config(const Json& json, const std::string& where) {
  const Reader reader(json, where);
  ClipConfig config;
  config.vocabulary = reader.get("vocab_size", config.vocabulary);
  config.width = reader.get<std::int64_t>("hidden_size", 512);
  config.inner = reader.get<std::int64_t>("intermediate_size", 2048);
  config.layers = reader.get("num_hidden_layers", config.layers);
  config.heads = reader.get<std::int64_t>("num_attention_heads", 8);
  config.positions = reader.get("max_position_embeddings", config.positions);
  config.eps = reader.get("layer_norm_eps", config.eps);
  config.activation = reader.get<std::string>("hidden_act", "quick_gelu");
  config.eos = reader.get<std::int64_t>("eos_token_id", 49407);
  reader.only("hidden_act", {"quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh"});
  const auto classes = reader.get("architectures", std::vector<std::string>{});
  const bool projected =
      std::find(classes.begin(), classes.end(), "CLIPTextModelWithProjection") != classes.end();
  if (projected) config.projection = reader.get<std::int64_t>("projection_dim", 512);
  return config;
}

UNetConfig unet_config(const Json& json, const std::string& where) {
  const Reader reader(json, where);
  UNetConfig config;
  config.in_channels = reader.get("in_channels", config.in_channels);
  config.out_channels = reader.get("out_channels", config.out_channels);
  config.channels = reader.get("block_out_channels", config.channels);
  const std::size_t levels = config.channels.size();
  config.down_attention = attention_flags(reader, "down_block_types", "CrossAttnDownBlock2D",
                                          "DownBlock2D", config.down_attention, where);
  config.up_attention = attention_flags(reader, "up_block_types", "CrossAttnUpBlock2D", "UpBlock2D",
                                        config.up_attention, where);
  if (levels == 0 || config.down_attention.size() != levels ||
      config.up_attention.size() != levels) {
    fail(where, ": block_out_channels, down_block_types and up_block_types differ in length");
  }
  config.layers_per_block = reader.get("layers_per_block", config.layers_per_block);
  // The key's name is wrong in the published files: it holds the number of heads.
  const std::string heads =
      reader.has("num_attention_heads") ? "num_attention_heads" : "attention_head_dim";
  config.heads = reader.per_level(heads, Numbers(levels, 8), levels);
  config.depth = reader.per_level("transformer_layers_per_block", Numbers(levels, 1), levels);
  config.text_width = reader.get<std::int64_t>("cross_attention_dim", 1280);
  config.groups = reader.get("norm_num_groups", config.groups);
  config.eps = reader.get("norm_eps", config.eps);
  config.linear_projection = reader.get("use_linear_projection", false);
  config.flip_sin_to_cos = reader.get("flip_sin_to_cos", true);
  config.freq_shift = reader.get("freq_shift", 0.0);
  config.sample_size = reader.get("sample_size", config.sample_size);
  if (reader.has("addition_embed_type")) {
    reader.only("addition_embed_type", {"text_time"});
    config.added_time_width = reader.get<std::int64_t>("addition_time_embed_dim", 256);
    config.added_width = reader.get<std::int64_t>("projection_class_embeddings_input_dim", 2816);
  }
  for (const char* key :
       {"class_embed_type", "encoder_hid_dim", "encoder_hid_dim_type", "num_class_embeds",
        "time_cond_proj_dim", "timestep_post_act", "cross_attention_norm"}) {
    reader.only(key, {});
  }
  for (const char* key : {"only_cross_attention", "dual_cross_attention", "center_input_sample",
                          "class_embeddings_concat"}) {
    reader.only(key, {false});
  }
  reader.only("act_fn", {"silu", "swish"});
  reader.only("downsample_padding", {1});
  reader.only("mid_block_scale_factor", {1});
  reader.only("mid_block_type", {"UNetMidBlock2DCrossAttn"});
  reader.only("resnet_time_scale_shift", {"default"});
  reader.only("time_embedding_type", {"positional"});
  reader.only("conv_in_kernel", {3});
  reader.only("conv_out_kernel", {3});
  if (config.in_channels != 4) {
    fail(where, ": a UNet with ", config.in_channels, " input channels (expected 4); inpainting, ",
         "depth and edit models cannot be the base of a text-to-image LoRA");
  }
  return config;
}

VaeConfig vae_config(const Json& json, const std::string& where) {
  const Reader reader(json, where);
  VaeConfig config;
  config.in_channels = reader.get("in_channels", config.in_channels);
  config.latent_channels = reader.get("latent_channels", config.latent_channels);
  config.channels = reader.get("block_out_channels", config.channels);
  config.layers_per_block = reader.get("layers_per_block", config.layers_per_block);
  config.groups = reader.get("norm_num_groups", config.groups);
  config.scale = reader.get("scaling_factor", config.scale);
  reader.only("act_fn", {"silu", "swish"});
  reader.only("shift_factor", {});
  reader.only("latents_mean", {});
  reader.only("latents_std", {});
  reader.only("use_quant_conv", {true});
  reader.only("use_post_quant_conv", {true});
  reader.only("mid_block_add_attention", {true});
  if (config.channels.empty()) fail(where, ": block_out_channels is empty");
  return config;
}

ScheduleConfig schedule_config(const Json& json, const std::string& where) {
  const Reader reader(json, where);
  ScheduleConfig config;
  config.train_steps = reader.get("num_train_timesteps", config.train_steps);
  config.beta_start = reader.get("beta_start", config.beta_start);
  config.beta_end = reader.get("beta_end", config.beta_end);
  config.beta_schedule = reader.get("beta_schedule", config.beta_schedule);
  config.prediction = prediction_of(reader, where);
  config.zero_terminal_snr = reader.get("rescale_betas_zero_snr", false);
  config.steps_offset = reader.get<std::int64_t>("steps_offset", 0);
  config.set_alpha_to_one = reader.get("set_alpha_to_one", false);
  config.spacing = reader.get<std::string>("timestep_spacing", "");
  reader.only("beta_schedule", {"scaled_linear", "linear"});
  reader.only("trained_betas", {});
  return config;
}

SdConfig sd_preset(SdKind kind) {
  SdConfig config;
  config.kind = kind;
  if (kind == SdKind::sd1) return config;
  config.unet.linear_projection = true;
  if (kind == SdKind::sd2) {
    config.text = {49408, 1024, 4096, 23, 16, 77, 1e-5, "gelu", 2, 0};
    config.unet.heads = {5, 10, 20, 20};
    config.unet.text_width = 1024;
    config.schedule.prediction = Prediction::v;
    return config;
  }
  config.text_2 = {49408, 1280, 5120, 32, 20, 77, 1e-5, "gelu", 2, 1280};
  config.unet.channels = {320, 640, 1280};
  config.unet.down_attention = {false, true, true};
  config.unet.up_attention = {true, true, false};
  config.unet.heads = {5, 10, 20};
  config.unet.depth = {1, 2, 10};
  config.unet.text_width = 2048;
  config.unet.added_time_width = 256;
  config.unet.added_width = 2816;
  config.unet.sample_size = 128;
  config.vae.scale = 0.13025;
  return config;
}

namespace {

// SDXL's UNet has added embeddings; SD 2 differs from SD 1 by its linear projections.
SdKind kind_of(const SdConfig& config) {
  if (config.unet.added_width > 0) return SdKind::sdxl;
  return config.unet.linear_projection ? SdKind::sd2 : SdKind::sd1;
}

// What a folder is that has no model_index.json, in words.
std::string what_folder(const Path& folder) {
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name); };
  if (has("adapter_config.json")) return "a PEFT adapter, not a base model";
  if (has("pytorch_lora_weights.safetensors")) {
    return "a LoRA (give it as init_lora_weights), not a base model";
  }
  if (!has("config.json")) return "no Stable Diffusion model (no model_index.json)";
  const Json json = Json::parse(read_file(folder / "config.json"), nullptr, false);
  if (!json.is_object()) return "no Stable Diffusion model (config.json is damaged)";
  const std::string type = json.value("_class_name", "");
  if (type == "AutoencoderKL") return "a VAE alone, without UNet and text encoder";
  if (!type.empty()) return join("a ", type, " alone, one part of a diffusers model");
  if (json.contains("architectures") && json["architectures"].is_array() &&
      !json["architectures"].empty() && json["architectures"][0].is_string()) {
    const auto name = json["architectures"][0].get<std::string>();
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
           index.value("_class_name", "?"), "); not Stable Diffusion, or an incomplete download");
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
  if (config.kind == SdKind::sdxl) {
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
    if (!json.is_object() || !json.contains(name)) fail(where, ": no settings of '", name, "'");
    return json[name];
  };
  SdConfig config;
  config.unet = unet_config(part("unet"), where);
  config.vae = vae_config(part("vae"), where);
  config.text = clip_config(part("text_encoder"), where);
  config.kind = kind_of(config);
  if (config.kind == SdKind::sdxl) config.text_2 = clip_config(part("text_encoder_2"), where);
  config.schedule = schedule_config(part("scheduler"), where);
  return config;
}

}  // namespace lora
