// SPDX-License-Identifier: Apache-2.0
// What stands around module paths in the keys of adapter files, and the one form of a language
// model's paths.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lora {

// The key without what wrappers of a model put into its names: "module." in front
// (DistributedDataParallel, DeepSpeed), `_orig_mod` (torch.compile), `_fsdp_wrapped_module` (FSDP),
// `_checkpoint_wrapped_module` (activation checkpoints) anywhere.
std::string without_wrappers(std::string_view key);

// The path in the text model of its own ("model.layers.0...", "transformer.h.0...") for a path as
// the same layers are called inside a model for pictures and text, or without a head. Nothing for
// names that are not those of a language model known here.
std::optional<std::string> language_path(std::string_view path);

}  // namespace lora
