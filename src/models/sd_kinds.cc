// SPDX-License-Identifier: Apache-2.0
#include "models/sd_kinds.h"

#include "base/error.h"

namespace lora {
namespace {

SdConfig sd1_preset() { return {.kind = SdKind::sd1}; }

SdConfig sd2_preset() {
  SdConfig config{.kind = SdKind::sd2};
  config.text = {49408, 1024, 4096, 23, 16, 77, 1e-5, "gelu", 2, 0};
  config.unet.linear_projection = true;
  config.unet.heads = {5, 10, 20, 20};
  config.unet.text_width = 1024;
  config.schedule.prediction = Prediction::v;
  return config;
}

SdConfig sdxl_preset() {
  SdConfig config{.kind = SdKind::sdxl};
  config.text_2 = {49408, 1280, 5120, 32, 20, 77, 1e-5, "gelu", 2, 1280};
  config.unet.linear_projection = true;
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

constexpr SdKindRow kKinds[] = {
    {.kind = SdKind::sd1,
     .name = "SD 1.5",
     .adapter = AdapterKind::sd15,
     .preset = sd1_preset,
     .second_encoder = false,
     .from_end = 1,
     .final_norm = true,
     .sign = "cond_stage_model.transformer.text_model.final_layer_norm.weight",
     .other_sign = "cond_stage_model.transformer.final_layer_norm.weight",
     .text_prefix = "cond_stage_model.transformer.",
     .open_clip = false,
     .may_predict_v = false},
    {.kind = SdKind::sd2,
     .name = "SD 2.x",
     .adapter = AdapterKind::sd2,
     .preset = sd2_preset,
     .second_encoder = false,
     .from_end = 1,
     .final_norm = true,
     .sign = "cond_stage_model.model.ln_final.weight",
     .other_sign = "",
     .text_prefix = "cond_stage_model.model.",
     .open_clip = true,
     .may_predict_v = true},
    {.kind = SdKind::sdxl,
     .name = "SDXL",
     .adapter = AdapterKind::sdxl,
     .preset = sdxl_preset,
     .second_encoder = true,
     .from_end = 2,
     .final_norm = false,
     .sign = "conditioner.embedders.1.model.ln_final.weight",
     .other_sign = "",
     .text_prefix = "conditioner.embedders.0.transformer.",
     .open_clip = false,
     .may_predict_v = false},
};

}  // namespace

const SdKindRow& sd_kind(SdKind kind) {
  for (const SdKindRow& row : kKinds) {
    if (row.kind == kind) return row;
  }
  fail("no such kind of Stable Diffusion");
}

const SdKindRow* sd_kind_in(const SafetensorsFile& file) {
  for (const SdKindRow& row : kKinds) {
    if (file.find(row.sign) != nullptr || file.find(row.other_sign) != nullptr) return &row;
  }
  return nullptr;
}

SdKind kind_of(const SdConfig& config) {
  if (config.unet.added_width > 0) return SdKind::sdxl;
  return config.unet.linear_projection ? SdKind::sd2 : SdKind::sd1;
}

SdConfig sd_preset(SdKind kind) { return sd_kind(kind).preset(); }

}  // namespace lora
