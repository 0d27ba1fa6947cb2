// SPDX-License-Identifier: Apache-2.0
// Frozen convolutions through oneDNN as one autograd node that saves no tensor: a frozen weight
// needs no gradient, and the gradient of the input needs the weight alone. The weight is put into
// oneDNN's own layout once. Twin: Layer::forward in plain ATen.
#pragma once

#include <ATen/core/Tensor.h>

#include "nn/kernels/types.h"

namespace lora::kernels {

// Weight and bias of a convolution of x's dtype; the adapters are not part of it. x [B, C, H, W];
// the result is in channels_last memory.
at::Tensor conv(const at::Tensor& x, const LayerTerm& term);

// A 1 x 1 convolution without stride and padding, adapters included: a linear layer over the
// positions.
at::Tensor pointwise(const at::Tensor& x, const LayerTerm& term);

}  // namespace lora::kernels
