// SPDX-License-Identifier: Apache-2.0
// Stable Diffusion 1.x, 2.x and SDXL as one object: text encoders, UNet, VAE. Computes what
// diffusers computes (tests/sd). Latent diffusion: arXiv 2112.10752; SDXL: arXiv 2307.01952.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/files.h"
#include "models/clip_text.h"
#include "models/model.h"
#include "models/sd_checkpoint.h"
#include "models/sd_config.h"
#include "models/unet.h"
#include "models/vae.h"

namespace lora {

struct SdLoadOptions {
  at::ScalarType dtype = at::kFloat;  // of the UNet and the text encoders
  at::Device device = at::Device(at::kCPU);
  // The VAE overflows in float16: it is kept in float32 there. Otherwise `dtype`, or this.
  std::optional<at::ScalarType> vae_dtype;
  // What the UNet predicts. Absent: the folder or the file says it; an SD 2 file that does not is
  // measured (measured_prediction).
  std::optional<Prediction> prediction;
  // Settings of a single file whose sizes are not the published ones (read_architecture).
  std::optional<SdConfig> architecture;
  bool with_vae = true, with_text = true;  // parts that will not be used need no memory
};

// What the UNet is told about the picture.
struct TextStates {
  at::Tensor hidden;  // [B, positions, text width], compute dtype
  at::Tensor pooled;  // SDXL: [B, projection]; else undefined
};

// Parameters of the distribution of the latents, unscaled. float32.
struct LatentDistribution {
  at::Tensor mean, logvar;  // [B, 4, H/8, W/8]; logvar is clamped to -30..20

  // mean + exp(0.5 logvar) noise; undefined noise: the mean. Not yet scaled.
  at::Tensor sample(const at::Tensor& noise = {}) const;
};

// What a UNet predicts, by what it makes of pure noise at the last timestep: a model of the noise
// gives it back, a model of v (there nearly -x0) does not. `predict`: latents [2, 4, H, W] and
// timesteps [2] -> [2, 4, H, W].
Prediction measured_prediction(
    const std::function<at::Tensor(const at::Tensor& latents, const at::Tensor& timesteps)>&
        predict,
    std::int64_t train_steps);

class StableDiffusion : public Network {
 public:
  // A diffusers folder (any variant or shards) or a single safetensors file in the original
  // layout. Throws Error naming in one line what the path is when it is something else.
  static std::unique_ptr<StableDiffusion> load(const Path& path, const SdLoadOptions& options);
  // Random weights, for measurements.
  static std::unique_ptr<StableDiffusion> random(const SdConfig& config,
                                                 const SdLoadOptions& options, std::uint64_t seed);

  SdKind kind() const { return config_.kind; }
  const SdConfig& config() const { return config_; }
  Prediction prediction() const { return config_.schedule.prediction; }
  double latent_scale() const { return config_.vae.scale; }
  // Pixels per latent (8), and the width of the text states (names of adapters' bases).
  std::int64_t pixels_per_latent() const;
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const { return device_; }
  std::int64_t parameters() const;  // of the UNet and the text encoders

  // Linear and convolution layers by diffusers module path: "unet.down_blocks.0...",
  // "text_encoder.text_model.encoder.layers.0...", "text_encoder_2....". Not the VAE.
  void for_each_layer(const LayerVisitor& visit) override;

  // ids [B, n * 75 + 2] of the first tokenizer, ids_2 the same of the second (SDXL, else
  // undefined). n = 1 is the plain 77; more are encoded in chunks of 75 and joined.
  // clip_skip 0 or 1: the model's own rule; n > 1: hidden_states[-n], then (not SDXL) the final
  // norm. Differentiable in the text encoders' adapters.
  TextStates encode_prompt(const at::Tensor& ids, const at::Tensor& ids_2 = {},
                           std::int64_t clip_skip = 0) const;

  // pixels [B, 3, H, W] in -1..1 (value / 127.5 - 1), H and W multiples of pixels_per_latent().
  LatentDistribution encode_image(const at::Tensor& pixels) const;
  // Latents as the UNet sees them (scaled) [B, 4, h, w] -> pixels [B, 3, 8h, 8w], about -1..1,
  // float32. No gradient.
  at::Tensor decode(const at::Tensor& latents) const;

  // latents [B, 4, h, w] of any float dtype, timesteps [B] int64 or float32; time_ids [B, 6]
  // float32 (SDXL: original height, width, crop top, left, target height, width).
  // -> noise or v [B, 4, h, w], float32.
  at::Tensor predict(const at::Tensor& latents, const at::Tensor& timesteps, const TextStates& text,
                     const at::Tensor& time_ids = {}) const;

  // Gradient checkpointing: the inside of each UNet block and text layer is computed again in the
  // backward pass.
  void set_checkpointing(bool on);

  // Parts, nullptr where not loaded (text_2: SDXL only).
  UNet& unet() { return *unet_; }
  ClipText* text() { return text_.get(); }
  ClipText* text_2() { return text_2_.get(); }
  Vae* vae() { return vae_.get(); }

 private:
  StableDiffusion() = default;
  void measure_prediction();
  void build(const std::function<std::unique_ptr<WeightSource>(SdPart)>& source,
             const SdLoadOptions& options);

  SdConfig config_;
  at::ScalarType dtype_ = at::kFloat;
  at::Device device_ = at::Device(at::kCPU);
  std::unique_ptr<UNet> unet_;
  std::unique_ptr<ClipText> text_, text_2_;
  std::unique_ptr<Vae> vae_;
};

}  // namespace lora
