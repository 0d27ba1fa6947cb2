// SPDX-License-Identifier: Apache-2.0
// Answers of versions to prompts, side by side.
#pragma once

#include <string>
#include <vector>

#include "models/generate.h"
#include "runs/session.h"

namespace lora {

struct TextRequest {
  std::vector<std::string> prompts;
  std::string system;       // "" = none
  bool raw = false;         // the prompt as it is, without the template
  GenerateOptions options;  // `stop` is the template's
};

struct Answer {
  std::string version, prompt, text;
  Ids ids;
  bool finished = false;  // ended by itself, not by max_tokens
};

// Every prompt with every version; the answers to one prompt stand together.
std::vector<Answer> answers(const TextSession& session, const std::vector<NamedVersion>& versions,
                            TextRequest request);

}  // namespace lora
