// SPDX-License-Identifier: Apache-2.0
// Names of modules as PEFT's target_modules has them: a list of ends of paths.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lora {

// PEFT's rule for one entry of the list: the path itself, or its end after a dot.
bool is_named(std::string_view target, std::string_view path);

// The shortest ends of the paths in `chosen` that name no other path of `all`, the layers of the
// model: "q_proj" where every such layer is chosen, "attn.c_proj", "layers.0.self_attn.q_proj".
// In order, each once. `all` must hold `chosen`.
std::vector<std::string> exact_targets(const std::vector<std::string>& chosen,
                                       const std::vector<std::string>& all);

}  // namespace lora
