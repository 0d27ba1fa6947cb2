// SPDX-License-Identifier: Apache-2.0
// Single checkpoint files in the original layout (CompVis latent diffusion, Stability's SGM for
// SDXL): recognised by their keys, read under diffusers names by rule. Facts: the layouts of
// CompVis/latent-diffusion and open_clip.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/weight_source.h"
#include "models/sd_config.h"

namespace lora {

enum class SdPart { unet, vae, text, text_2 };

// Name in the original layout of a tensor that diffusers calls `name`, with the part's prefix
// ("model.diffusion_model.", ...). Query, key and value of open_clip are fused: all three give the
// name of the fused tensor.
std::string original_name(SdPart part, const SdConfig& config, const std::string& name);

// The kind of a checkpoint by its keys and shapes; throws Error saying in one line what the file is
// when it is something else (a LoRA, a VAE, a language model, SD 3, ...).
SdKind identify_checkpoint(const Path& path);

// Reads parts of a single file. The file stays mapped while tensors live.
class SdCheckpoint {
 public:
  SdCheckpoint(const Path& path, SdConfig config);

  // The tensors of a part under their diffusers names.
  std::unique_ptr<WeightSource> part(SdPart part) const;
  const Metadata& metadata() const { return weights_->metadata(); }
  bool has(const std::string& original) const { return weights_->has(original); }
  std::string where() const { return weights_->where(); }
  // Throws Error (usage) where the file holds no VAE, as many that were pruned.
  void require_vae() const;

 private:
  std::shared_ptr<WeightFiles> weights_;
  SdConfig config_;
};

// A part of a diffusers folder: "unet", "vae", "text_encoder", "text_encoder_2".
std::unique_ptr<WeightSource> folder_part(const Path& folder, SdPart part);

}  // namespace lora
