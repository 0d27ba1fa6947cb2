// SPDX-License-Identifier: Apache-2.0
// Language models by their folder.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/files.h"
#include "io/adapters/gguf.h"
#include "models/model.h"

namespace lora {

// target_modules for the model in `folder` where nothing is said. Throws Error as load_causal_lm
// does for a config.json that cannot be used.
std::vector<std::string> default_targets(const Path& folder);

// What a GGUF export must know of the model in `folder` (or of its config.json, given itself).
// Throws Error for a family without a known GGUF layout, naming those with one.
GgufBase read_gguf_base(const Path& folder);

// A model with the sizes of `config` (content of a config.json) and random weights.
std::unique_ptr<CausalLM> random_causal_lm(const nlohmann::json& config, const LoadOptions& options,
                                           std::uint64_t seed);

}  // namespace lora
