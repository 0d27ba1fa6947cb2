// SPDX-License-Identifier: Apache-2.0
// The table of language model families. A family is a file, which reads its part of config.json and
// makes the model, and a row in families.cc, which says everything else about it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "io/adapters/gguf.h"
#include "models/hf_config.h"
#include "models/model.h"

namespace lora {

struct Family {
  std::string_view name;          // model_type of config.json
  std::string_view architecture;  // the class that "architectures" names where model_type is absent
  std::string_view help;
  bool tied = false;                 // embedding and head, where config.json does not say
  std::string_view default_targets;  // what gets an adapter where nothing is said
  GgufLayout gguf;                   // without an architecture: none is known
  void (*read)(const ConfigKeys& keys, HfConfig& config);
  std::unique_ptr<CausalLM> (*load)(const HfConfig& config, Modules& modules);
  // Tensors in files of this family that nothing needs.
  bool (*ignores)(std::string_view tensor) = nullptr;
};

std::span<const Family> families();

}  // namespace lora
