// SPDX-License-Identifier: Apache-2.0
// Gradient checkpointing (arXiv 1604.06174): memory for time.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace lora {

using Body = std::function<at::Tensor(const at::Tensor&)>;

// body(x), keeping only x for the backward pass, which runs `body` again: with the same random
// numbers and the same training mode, so that the gradients are those of the plain call.
// The layers must have the same adapters active then. `parameters` are the trainable tensors that
// `body` uses. Random numbers must come from the default generator of x's device.
at::Tensor checkpoint(const Body& body, const at::Tensor& x,
                      const std::vector<at::Tensor>& parameters);

}  // namespace lora
