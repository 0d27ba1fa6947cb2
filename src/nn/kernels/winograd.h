// SPDX-License-Identifier: Apache-2.0
// Frozen 3 x 3 convolutions (stride 1, padding 1) by Winograd's minimal filtering F(2x2, 3x3)
// (Lavin and Gray, arXiv 1509.09308): 16 products for the 4 results of a tile instead of 36. For
// bfloat16 only, where the products are most of the time. The transformed picture and weight are
// rounded to bfloat16, so results are off by 0.42 % (relative L2; directly summed ones by the
// 0.17 % of their own rounding); sums and the transform back are float32. The UNet of SD 1.5 in
// bfloat16 differs from float32 by 1.21 % instead of 0.99 %.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <map>
#include <optional>

#include "nn/kernels/conv_plan.h"

namespace lora::kernels {

class Winograd {
 public:
  // Whether it pays: enough tiles that the transformed weight, 16/9 of the plain one, is read for
  // many of them.
  static bool suits(const ConvShape& shape, const at::Tensor& picture);

  explicit Winograd(const ConvShape& shape);

  // in [B, in, H, W] -> out [B, out, H, W], both channels_last and bfloat16. False where oneDNN has
  // no such product on this processor. `plain`: the weight of `shape`, any strides; asked for once.
  bool run(const at::Tensor& in, const at::Tensor& out, const std::function<at::Tensor()>& plain);

 private:
  const ConvPlan* plan_of(std::int64_t tile_rows, std::int64_t tile_columns);

  at::Tensor bias_;     // [out] float32 or undefined
  ConvShape products_;  // 16 groups: the positions of a tile
  std::map<std::array<std::int64_t, 3>, std::optional<ConvPlan>> plans_;
  PackedWeights packed_;
};

}  // namespace lora::kernels
