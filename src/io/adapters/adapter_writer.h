// SPDX-License-Identifier: Apache-2.0
// Writing adapters as PEFT, diffusers and kohya files. Tensors keep their dtype. Every writer
// keeps the function of the adapter (scale B A, DoRA) exactly.
#pragma once

#include <string>

#include "io/adapters/adapter_file.h"
#include "io/safetensors.h"

namespace lora {

// The bytes of an adapter_model.safetensors and of the adapter_config.json beside it.
struct PeftFiles {
  std::string weights;  // metadata {"format":"pt"}
  std::string config;
};

// Throws Error for an image adapter. `r` and `lora_alpha` are the most frequent values; the rest
// goes into rank_pattern / alpha_pattern.
PeftFiles encode_peft(const AdapterFile& adapter);

// Writes folder/adapter_model.safetensors, folder/adapter_config.json and
// folder/pytorch_lora_weights.safetensors (same bytes as the first).
void write_peft(const Path& folder, const AdapterFile& adapter);

}  // namespace lora
