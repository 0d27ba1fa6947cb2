// SPDX-License-Identifier: Apache-2.0
// Prompts of Stable Diffusion as token ids.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "models/stable_diffusion.h"
#include "tokenizers/clip_tokenizer.h"

namespace lora {

class SdPrompts {
 public:
  // The tokenizers of a diffusers folder. A single checkpoint file holds none: then they are
  // looked for in the folder `tokenizer` (SDXL: `tokenizer_2`, else the same) beside it. Throws
  // Error saying so where there is none.
  static SdPrompts load(const Path& base, SdKind kind);

  // Ids [B, n * 75 + 2], n = positions / 75 (75, 150 or 225), cut or filled up; of the second
  // text encoder (SDXL) if `second`.
  at::Tensor ids(const std::vector<std::string>& prompts, std::int64_t positions = 75,
                 bool second = false) const;
  std::int64_t length(const std::string& prompt) const;  // tokens without begin and end
  bool has_second() const { return second_ != nullptr; }

 private:
  std::shared_ptr<const ClipTokenizer> first_, second_;
};

// "" where the text encoder reads the whole prompt; else what it leaves out, in words.
std::string cut_prompt_note(const SdPrompts& prompts, const std::string& prompt,
                            std::int64_t positions);

// Both encoders' states of the prompts.
TextStates encode_prompts(const StableDiffusion& sd, const SdPrompts& prompts,
                          const std::vector<std::string>& texts, std::int64_t positions = 75,
                          std::int64_t clip_skip = 0);

}  // namespace lora
