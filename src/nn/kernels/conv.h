// SPDX-License-Identifier: Apache-2.0
// Frozen convolutions through oneDNN as one autograd node that saves no tensor: a frozen weight
// needs no gradient, and the gradient of the input needs the weight alone. The weight is put into
// oneDNN's own layout once. Twin: Layer::forward in plain ATen.
#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layer.h"

namespace lora::kernels {

// A convolution of x's dtype, x [B, C, H, W]. The adapter, if any, is not part of it.
bool usable_conv(const Layer& layer, const at::Tensor& x);
// The result is in channels_last memory.
at::Tensor conv(const Layer& layer, const at::Tensor& x);

// 1 x 1 convolutions are linear layers over the positions, adapter included.
bool usable_pointwise(const Layer& layer, const at::Tensor& x);
at::Tensor pointwise(const Layer& layer, const at::Tensor& x);

}  // namespace lora::kernels
