// SPDX-License-Identifier: Apache-2.0
// UNet2DConditionModel of diffusers: SD 1.5, SD 2.x, SDXL.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "models/modules.h"
#include "models/sd_config.h"
#include "models/unet_blocks.h"
#include "nn/layer.h"

namespace lora {

// Sinusoids [N, width] float32 of `values` [N]; cosine first where `flip`.
at::Tensor sinusoids(const at::Tensor& values, std::int64_t width, bool flip, double freq_shift);

class UNet {
 public:
  UNet(const UNetConfig& config, Modules& modules);

  // latents [B, in, h, w], timesteps [B], text [B, S, width], added [B, added_width] or undefined
  // (see added_embedding). Returns [B, out, h, w] in the compute dtype.
  at::Tensor forward(const at::Tensor& latents, const at::Tensor& timesteps, const at::Tensor& text,
                     const at::Tensor& added = {}) const;

  // SDXL: pooled [B, P] and the sinusoids of time_ids [B, 6] side by side: [B, added_width].
  at::Tensor added_input(const at::Tensor& pooled, const at::Tensor& time_ids) const;

  void for_each_layer(const std::string& prefix, const LayerVisitor& visit);
  void set_checkpointing(bool on) { checkpointing_ = on; }
  const UNetConfig& config() const { return config_; }
  std::int64_t parameters() const { return parameters_; }

  struct Block {
    std::string name;
    std::vector<ResnetBlock> resnets;
    std::vector<SpatialTransformer> attentions;  // empty, or one a resnet
    std::optional<Layer> sampler;                // down: stride 2; up: after doubling
  };
  // Blocks by position, for tests.
  const std::vector<Block>& down() const { return down_; }
  const Block& middle() const { return middle_; }
  const std::vector<Block>& up() const { return up_; }
  const GroupNorm& norm_out() const { return norm_out_; }

 private:
  at::Tensor time_embedding(const at::Tensor& timesteps, const at::Tensor& added) const;
  at::Tensor run_down(const Block& block, at::Tensor x, const at::Tensor& temb,
                      const at::Tensor& text, std::vector<at::Tensor>& skips) const;
  at::Tensor run_up(const Block& block, at::Tensor x, const at::Tensor& temb,
                    const at::Tensor& text, std::vector<at::Tensor>& skips) const;
  at::Tensor unit(const Block& block, std::size_t layer, const at::Tensor& x,
                  const at::Tensor& temb, const at::Tensor& text) const;
  void make_down(Modules& modules);
  void make_up(Modules& modules);

  UNetConfig config_;
  Layer conv_in_, time_1_, time_2_, conv_out_;
  std::optional<Layer> add_1_, add_2_;
  std::vector<Block> down_, up_;
  Block middle_;
  GroupNorm norm_out_;
  std::int64_t parameters_ = 0;
  bool checkpointing_ = false;
};

}  // namespace lora
