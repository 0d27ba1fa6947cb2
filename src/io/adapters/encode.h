// SPDX-License-Identifier: Apache-2.0
// Bytes of a safetensors file from tensors.
#pragma once

#include <string>

#include "io/tensors.h"

namespace lora {

// encode_safetensors over tensors of any device and layout.
std::string encode_tensors(const TensorMap& tensors, const Metadata& metadata);

}  // namespace lora
