// SPDX-License-Identifier: Apache-2.0
// Frozen 3 x 3 convolutions (stride 1, padding 1) by Winograd's minimal filtering F(2x2, 3x3)
// (Lavin and Gray, arXiv 1509.09308): 16 products for the 4 results of a tile instead of 36. For
// bfloat16 only, where the products are most of the time. The transformed picture and weight are
// rounded to bfloat16, so results are off by 0.42 % (relative L2; directly summed ones by the
// 0.17 % of their own rounding); sums and the transform back are float32. The UNet of SD 1.5 in
// bfloat16 differs from float32 by 1.21 % instead of 0.99 %.
#pragma once

#include <ATen/core/Tensor.h>

namespace lora::kernels {

class Winograd {
 public:
  // weight [out, in, 3, 3] bfloat16, any strides; bias [out] or undefined. Transformed at the first
  // use: one copy, 16/9 of the weight, serves both directions.
  Winograd(const at::Tensor& weight, const at::Tensor& bias);

  // Whether it pays: a processor with products of bfloat16 (AVX512-BF16), and enough tiles for each
  // time that the weight is read.
  static bool suits(const at::Tensor& weight, const at::Tensor& picture);

  // x [B, in, H, W] -> y [B, out, H, W], both channels_last and bfloat16.
  void forward(const at::Tensor& x, const at::Tensor& y);
  // Gradient of the input: dy [B, out, H, W] -> dx [B, in, H, W].
  void backward(const at::Tensor& dy, const at::Tensor& dx);

 private:
  void run(const at::Tensor& from, const at::Tensor& to, bool turned);
  void multiply_position(const at::Tensor& before, const at::Tensor& after, std::int64_t tiles,
                         std::int64_t position, bool turned) const;

  at::Tensor weight_, bias_;  // bias_ float32
  at::Tensor transformed_;    // [16, out, in]
};

}  // namespace lora::kernels
