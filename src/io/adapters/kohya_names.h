// SPDX-License-Identifier: Apache-2.0
// kohya's flat module names ("lora_unet_down_blocks_0_attentions_0_proj_in", SDXL with SGM block
// names "lora_unet_input_blocks_4_1_proj_in") and the diffusers paths they stand for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lora {

// "lora_unet_...", "lora_te_...", "lora_te1_...", "lora_te2_..." -> "unet....", "text_encoder....",
// "text_encoder_2....". Nothing for a name without these prefixes or with parts that no module of
// Stable Diffusion has. Block names of both layouts are read.
std::optional<std::string> path_of_kohya(std::string_view name);

// The UNet module "unet...." of a name with dots, in either layout: "input_blocks.1.1.proj_in",
// "down_blocks.0.attentions.0.proj_in". Nothing for names that no module of Stable Diffusion has.
std::optional<std::string> path_of_unet(std::string_view dotted);

// The reverse of path_of_kohya. `sdxl` picks SGM block names and lora_te1_/lora_te2_. Throws Error
// for a path without one of the three components.
std::string kohya_of_path(std::string_view path, bool sdxl);

}  // namespace lora
