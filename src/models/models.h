// SPDX-License-Identifier: Apache-2.0
// The language models that are known. A new family is one file and one row in models.cc.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "models/loader.h"
#include "models/model.h"

namespace lora {

struct ModelFamily {
  std::string_view name;  // model_type of config.json
  std::string_view help;
  std::unique_ptr<CausalLM> (*load)(Loader& loader);
  std::string_view default_targets;  // what gets an adapter where nothing is said
};

std::span<const ModelFamily> model_families();

// target_modules for the model in `folder` where nothing is said. Throws Error as load_causal_lm
// does for a config.json that cannot be used.
std::vector<std::string> default_targets(const Path& folder);

// A model with the sizes of `config` (content of a config.json) and random weights.
std::unique_ptr<CausalLM> random_causal_lm(const nlohmann::json& config, const LoadOptions& options,
                                           std::uint64_t seed);

}  // namespace lora
