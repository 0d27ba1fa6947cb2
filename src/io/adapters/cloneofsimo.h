// SPDX-License-Identifier: Apache-2.0
// The dialect of cloneofsimo/lora (Apache-2.0; facts from lora_diffusion/lora.py): tensors
// "unet:0:down", "unet:0:up", "text_encoder:0:down", numbered in the order in which that program
// walks the Stable Diffusion 1.x modules; ranks and target classes are in the header's metadata.
// Scale is 1.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "io/adapters/dialects.h"
#include "io/safetensors.h"

namespace lora {

// Nothing for a key of another dialect. Throws Error where the number or the target classes in
// `metadata` are not those of Stable Diffusion 1.x (144 + 48 modules).
std::optional<ParsedKey> cloneofsimo_key(std::string_view key, const Metadata& metadata,
                                         const std::string& where);

}  // namespace lora
