// SPDX-License-Identifier: Apache-2.0
// A base model ready to be asked or measured, and the versions put into it one after the other.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/prompt_template.h"
#include "models/model.h"
#include "models/sd_prompts.h"
#include "nn/attach.h"
#include "train/machine.h"
#include "versions/store.h"

namespace lora {

// A version as the command line names it; "base" stands for no adapter at all.
struct NamedVersion {
  std::string label;
  double weight = 1;
  std::optional<LocatedVersion> located;  // absent: the plain base
};

// Resolves every --version (V or V:WEIGHT) below `root`; none given means the base, which takes no
// weight.
std::vector<NamedVersion> name_versions(const std::vector<std::string>& arguments,
                                        const Path& root);

// True for a diffusers folder or a single checkpoint file; false for a language model's folder.
// Throws Error (usage) where there is neither.
bool is_image_base(const Path& base);

// Attaches the version's adapter to the layers, or clears them for the base. Throws Error where it
// does not fit the model.
void apply_version(const NamedVersion& version, const std::vector<NamedLayer>& layers);

struct SessionOptions {
  std::string base, prompt_template = "auto";
  std::string template_date;  // what templates take for today; "" = today
  // f32, bf16; auto: texts in float32 up to 2 GiB of weights and as stored above, pictures as
  // mixed_precision: auto.
  std::string dtype = "auto";
  std::string device = "auto";  // auto, cpu, cuda
  int threads = 0;              // 0 = every core this process may use
};

struct TextSession {
  Machine machine;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<PromptTemplate> prompt;
  std::unique_ptr<CausalLM> model;
  std::vector<NamedLayer> layers;
};

struct ImageSession {
  std::string base;  // its name, for the pictures' text chunks
  Machine machine;
  std::unique_ptr<StableDiffusion> sd;
  SdPrompts prompts;
  std::vector<NamedLayer> layers;

  int side() const;  // pixels of the model's own pictures
};

// Throw Error (usage) for a model that cannot be read, and for an unknown dtype or device.
TextSession open_text_session(const SessionOptions& options);
ImageSession open_image_session(const SessionOptions& options);

}  // namespace lora
