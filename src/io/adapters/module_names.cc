// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/module_names.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace lora {
namespace {

constexpr std::array<std::string_view, 4> kWrappers = {
    "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"};

// How the layers begin, and how they begin in the text model of its own (transformers' classes).
struct Head {
  std::string_view begins, path;
};
constexpr std::array kHeads = {
    Head{"model.layers.", "model.layers."},
    Head{"model.language_model.layers.", "model.layers."},  // Qwen-VL, Gemma 3, LLaVA
    Head{"model.text_model.layers.", "model.layers."},      // Idefics, SmolVLM
    Head{"language_model.model.layers.", "model.layers."},  // the same before transformers 4.52
    Head{"language_model.layers.", "model.layers."},
    Head{"model.model.layers.", "model.layers."},  // a class of one's own around the model
    Head{"layers.", "model.layers."},              // a model without a head: embeddings
    Head{"transformer.h.", "transformer.h."},
    Head{"h.", "transformer.h."}};

}  // namespace

std::string without_wrappers(std::string_view key) {
  std::vector<std::string> parts = split(key, '.');
  std::erase_if(parts, [](const std::string& part) {
    return std::find(kWrappers.begin(), kWrappers.end(), part) != kWrappers.end();
  });
  const auto first = std::find_if(parts.begin(), parts.end(),
                                  [](const std::string& part) { return part != "module"; });
  parts.erase(parts.begin(), first);
  return join_words(parts, ".");
}

std::optional<std::string> language_path(std::string_view path) {
  for (const Head& head : kHeads) {
    if (path.starts_with(head.begins)) {
      return std::string(head.path).append(path.substr(head.begins.size()));
    }
  }
  return {};
}

}  // namespace lora
