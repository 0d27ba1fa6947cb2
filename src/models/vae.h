// SPDX-License-Identifier: Apache-2.0
// AutoencoderKL of diffusers: pictures to latents and back. Frozen: no gradient, no adapters.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "models/modules.h"
#include "models/sd_config.h"
#include "models/unet_blocks.h"

namespace lora {

class Vae {
 public:
  Vae(const VaeConfig& config, Modules& modules);

  // pixels [B, 3, H, W] -> mean and log variance side by side [B, 8, H/8, W/8], float32.
  at::Tensor moments(const at::Tensor& pixels) const;
  // Unscaled latents [B, 4, h, w] -> pixels [B, 3, 8h, 8w], float32.
  at::Tensor decode(const at::Tensor& latents) const;
  const VaeConfig& config() const { return config_; }

  // Single-head attention over all positions of the middle block.
  struct MidAttention {
    std::string name;
    GroupNorm norm;
    Layer q, k, v, out;

    at::Tensor forward(const at::Tensor& x) const;
  };
  struct Stage {
    std::string name;
    std::vector<ResnetBlock> resnets;
    std::optional<Layer> sampler;
  };
  struct Half {  // encoder or decoder
    Layer conv_in, conv_out;
    std::vector<Stage> stages;
    std::vector<ResnetBlock> mid;
    MidAttention attention;
    GroupNorm norm_out;
  };
  const Half& encoder() const { return encoder_; }
  const Half& decoder() const { return decoder_; }

 private:
  void make_encoder(Modules& modules);
  void make_decoder(Modules& modules);
  at::Tensor middle(const Half& half, const at::Tensor& x) const;

  VaeConfig config_;
  Half encoder_, decoder_;
  Layer quant_, post_quant_;
  at::ScalarType dtype_;
};

}  // namespace lora
