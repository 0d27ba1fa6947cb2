// SPDX-License-Identifier: Apache-2.0
// A language model ready to be asked: what `lora generate` and `lora eval` share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/prompt_template.h"
#include "models/model.h"
#include "nn/attach.h"
#include "versions/store.h"

namespace lora {

// A version as the command line names it; "base" stands for no adapter at all.
struct NamedVersion {
  std::string label;
  double weight = 1;
  std::optional<LocatedVersion> located;  // absent: the plain base
};

// Resolves every --version (V or V:WEIGHT) below `root`; none given means the base.
std::vector<NamedVersion> name_versions(const std::vector<std::string>& arguments,
                                        const Path& root);

// True for a diffusers folder or a single checkpoint file; false for a language model's folder.
// Throws Error (usage) where there is neither.
bool is_image_base(const Path& base);

// Attaches the version's adapter to the layers, or clears them for the base. Throws Error where it
// does not fit the model.
void apply_version(const NamedVersion& version, const std::vector<NamedLayer>& layers);

struct TextSession {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<PromptTemplate> prompt;
  std::unique_ptr<CausalLM> model;
  std::vector<NamedLayer> layers;
};

struct SessionOptions {
  std::string base, prompt_template = "auto";
  std::string dtype = "auto";  // f32, bf16; auto: float32 up to 2 GiB of weights, else as stored
  int threads = 0;
};

TextSession open_session(const SessionOptions& options);

}  // namespace lora
