// SPDX-License-Identifier: Apache-2.0
// New adapters in the layers that a configuration names.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "config/groups.h"
#include "nn/attach.h"

namespace lora {

// Does `target` (an entry of target_modules) name the layer? A module name ("q_proj", "mlp.fc1")
// matches the end of the path at a dot, a regular expression the whole path, the presets:
// attention and mlp the linear layers inside such blocks, all-linear every linear layer.
// Throws Error (usage) for a regular expression that does not compile.
bool is_target(std::string_view target, std::string_view layer, bool is_conv);

// The layers that one of `targets` names, in the model's order.
std::vector<NamedLayer> named_layers(const std::vector<std::string>& targets,
                                     const std::vector<NamedLayer>& layers);

// The layers that config.target_modules names. Throws Error (usage) for a target that names no
// layer, listing the module names of the model.
std::vector<NamedLayer> target_layers(const AdapterConfig& config,
                                      const std::vector<NamedLayer>& layers);

// Throws Error (usage) for a key of rank_pattern or alpha_pattern that means none of `targets`.
void check_patterns(const AdapterConfig& config, const std::vector<NamedLayer>& targets);

// Rank, alpha and scale of a layer: patterns first, then lora_rank and lora_alpha.
struct AdapterSize {
  std::int64_t rank = 0;
  double alpha = 0;
  double scale = 0;
};
AdapterSize adapter_size(const AdapterConfig& config, const std::string& layer);

// Puts a fresh adapter upon the stack of every layer of `targets`, as init_lora_weights says (true:
// A uniform within 1/sqrt(fan_in), B zero). Random numbers depend on `seed` alone. DoRA magnitudes
// start at the row norms of the weight. The layers are ready to train and compute the same as
// before. Throws what add_adapter throws.
void create_adapters(const AdapterConfig& config, std::int64_t seed,
                     const std::vector<NamedLayer>& targets);

}  // namespace lora
