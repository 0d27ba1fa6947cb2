// SPDX-License-Identifier: Apache-2.0
// The trainable tensors of a model: the adapters in its layers.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"
#include "nn/attach.h"
#include "train/optimizers.h"

namespace lora {

// The layers of a model by name; `prefix` goes before each ("unet.").
std::vector<NamedLayer> layers_of(Network& network, const std::string& prefix = "");

// A, B and magnitude of every adapter that trains as leaves that require a gradient, under PEFT's
// names:
// "base_model.model.<layer>.lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector".
// `head` replaces "base_model.model." (images: "").
std::vector<Parameter> adapter_parameters(const std::vector<NamedLayer>& layers,
                                          const std::string& head = "base_model.model.");

}  // namespace lora
