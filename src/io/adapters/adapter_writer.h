// SPDX-License-Identifier: Apache-2.0
// Writing adapters as PEFT, diffusers and kohya files. Tensors keep their dtype. Every writer
// keeps the function of the adapter (scale B A, DoRA): where a format has no room for the scale it
// is multiplied into B. (gguf.h writes llama.cpp's format.)
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

// Image adapters as pytorch_lora_weights.safetensors: one dialect, `unet.….lora_A.weight`.
// Where every scale is 1 the header is {"format":"pt"} and the file is what diffusers writes.
// Otherwise the scale is folded into B, because programs (older diffusers, stable-diffusion.cpp,
// ComfyUI) ignore diffusers' own header entry for alpha; the entry `lora_scripts` then remembers
// alpha, so that reading here gives back the same rank, alpha and scale.
// Throws Error for a language-model adapter.
std::string encode_diffusers(const AdapterFile& adapter, const Metadata& extra = {});

// What WebUIs show of a kohya file. Empty fields are left out.
struct KohyaInfo {
  std::string name;             // ss_output_name, modelspec.title
  std::string resolution;       // "512x512"
  std::string prediction_type;  // "epsilon" (default) or "v"
  std::string date;             // ISO 8601; empty keeps the bytes free of the time of writing
  Metadata extra;               // further ss_* and own keys, taken as they are
};

// Image adapters with kohya names (SDXL: SGM block names), ss_*, modelspec.* and sshs_* metadata.
// One alpha value for the whole file, other scales are folded into B; LoCon cores are multiplied
// into A. Throws Error for a language-model adapter.
std::string encode_kohya(const AdapterFile& adapter, const KohyaInfo& info);

// What must be known of `file`, a DoRA adapter with kohya names: most programs compute another
// function of it, and what to use instead.
std::string kohya_dora_caution(const std::string& file);

// One alpha for a whole file: the most frequent alpha (rsLoRA: scale x rank). The modules are
// rescaled to it.
double common_alpha(const AdapterFile& adapter);

}  // namespace lora
