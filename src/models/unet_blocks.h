// SPDX-License-Identifier: Apache-2.0
// The blocks of UNet2DConditionModel. x is [B, C, H, W] in channels_last memory; temb [B, 4 C0];
// text [B, S, text width].
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "models/modules.h"
#include "nn/layer.h"

namespace lora {

// GroupNorm - SiLU - conv - (+ time) - GroupNorm - SiLU - conv, plus the input.
// The VAE's blocks are the same without time.
struct ResnetBlock {
  std::string name;
  GroupNorm norm1, norm2;
  Layer conv1, conv2;
  std::optional<Layer> time_proj, shortcut;

  // temb: SiLU(time embedding), or undefined.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& silu_temb) const;
  void visit(const std::string& prefix, const LayerVisitor& visit);
};

struct CrossAttention {
  Layer q, k, v, out;
  std::int64_t heads = 8;

  // x [B, T, C]; context [B, S, width] (self-attention: x).
  at::Tensor forward(const at::Tensor& x, const at::Tensor& context) const;
  void visit(const std::string& prefix, const LayerVisitor& visit);
};

struct TransformerBlock {
  std::string name;
  Norm norm1, norm2, norm3;
  CrossAttention attn1, attn2;
  Layer ff_in, ff_out;  // GEGLU: ff_in makes value and gate

  at::Tensor forward(const at::Tensor& x, const at::Tensor& text) const;
  void visit(const std::string& prefix, const LayerVisitor& visit);
};

// GroupNorm, projection, transformer blocks over the H W positions, projection, plus the input.
struct SpatialTransformer {
  std::string name;
  GroupNorm norm;
  Layer proj_in, proj_out;  // 1 x 1 convolutions, or linear
  std::vector<TransformerBlock> blocks;

  at::Tensor forward(const at::Tensor& x, const at::Tensor& text) const;
  void visit(const std::string& prefix, const LayerVisitor& visit);
};

ResnetBlock make_resnet(Modules& modules, const std::string& name, std::int64_t in,
                        std::int64_t out, std::int64_t time_width, std::int64_t groups, double eps);

struct TransformerSizes {
  std::int64_t channels, heads, depth, text_width, groups;
  bool linear_projection;
};
SpatialTransformer make_transformer(Modules& modules, const std::string& name,
                                    const TransformerSizes& sizes);

// Twice the size (or exactly `height` x `width`), nearest neighbour.
at::Tensor upsample(const at::Tensor& x, std::int64_t height, std::int64_t width);

}  // namespace lora
