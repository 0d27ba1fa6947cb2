// SPDX-License-Identifier: Apache-2.0
// Settings of the parts of a Stable Diffusion model, as the config.json files of a diffusers folder
// hold them.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/files.h"

namespace lora {

enum class SdKind { sd1, sd2, sdxl };

// What the UNet's output means: the noise, or v = sqrt(acp) noise - sqrt(1 - acp) x0.
enum class Prediction { epsilon, v };

struct ClipConfig {
  std::int64_t vocabulary = 49408, width = 768, inner = 3072, layers = 12, heads = 12;
  std::int64_t positions = 77;
  double eps = 1e-5;
  std::string activation = "quick_gelu";  // quick_gelu, gelu, gelu_new
  // The pooled state is that of the first position of this id; 2 (files of before 2023) means the
  // first position of the highest id instead.
  std::int64_t eos = 2;
  std::int64_t projection = 0;  // width of the projected pooled state; 0: no projection
};

struct UNetConfig {
  std::int64_t in_channels = 4, out_channels = 4;
  std::vector<std::int64_t> channels = {320, 640, 1280, 1280};
  std::vector<bool> down_attention = {true, true, true, false};
  std::vector<bool> up_attention = {false, true, true, true};
  std::int64_t layers_per_block = 2;
  std::vector<std::int64_t> heads = {8, 8, 8, 8};  // number of heads of each level
  std::vector<std::int64_t> depth = {1, 1, 1, 1};  // transformer blocks of each level
  std::int64_t text_width = 768;
  std::int64_t groups = 32;
  double eps = 1e-5;
  bool linear_projection = false;
  bool flip_sin_to_cos = true;
  double freq_shift = 0;
  std::int64_t added_time_width = 0;  // SDXL: 256; 0 = no added embeddings
  std::int64_t added_width = 0;       // SDXL: 2816 = pooled 1280 + 6 x 256
  std::int64_t sample_size = 64;
};

struct VaeConfig {
  std::int64_t in_channels = 3, latent_channels = 4;
  std::vector<std::int64_t> channels = {128, 256, 512, 512};
  std::int64_t layers_per_block = 2;
  std::int64_t groups = 32;
  double scale = 0.18215;  // of the latents
};

// Noise schedule and sampling settings (scheduler_config.json).
struct ScheduleConfig {
  std::int64_t train_steps = 1000;
  double beta_start = 0.00085, beta_end = 0.012;
  std::string beta_schedule = "scaled_linear";  // scaled_linear, linear
  Prediction prediction = Prediction::epsilon;
  bool zero_terminal_snr = false;
  std::int64_t steps_offset = 1;
  bool set_alpha_to_one = false;
  std::string spacing;  // leading, linspace, trailing; empty: each sampler has its own
};

struct SdConfig {
  SdKind kind = SdKind::sd1;
  ClipConfig text, text_2;  // text_2: SDXL only
  UNetConfig unet;
  VaeConfig vae;
  ScheduleConfig schedule;
};

// `where` names the file in errors. Throw Error for a setting that is not supported, by its name.
ClipConfig clip_config(const nlohmann::json& json, const std::string& where);
UNetConfig unet_config(const nlohmann::json& json, const std::string& where);
VaeConfig vae_config(const nlohmann::json& json, const std::string& where);
ScheduleConfig schedule_config(const nlohmann::json& json, const std::string& where);

// The settings of a diffusers folder. Throws Error naming what the folder is instead, when it is
// not a Stable Diffusion model (a language model, an adapter, a lone VAE, ...).
SdConfig read_sd_config(const Path& folder);

// Settings of a single file, given explicitly: {"unet": {...}, "vae": {...}, "text_encoder":
// {...}, "scheduler": {...}} with the content of the config.json files. For models that keep the
// original layout but not the published sizes.
SdConfig read_architecture(const Path& json_file);

}  // namespace lora
