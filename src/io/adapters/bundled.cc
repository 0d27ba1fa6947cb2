// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/bundled.h"

#include "base/error.h"
#include "base/text.h"

namespace lora {

bool is_bundled_embedding(std::string_view tensor) { return tensor.starts_with("bundle_emb."); }

std::string left_aside(const AdapterFile& adapter) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : adapter.others) {
    if (is_bundled_embedding(name)) names.push_back(name);
  }
  if (names.empty()) return "";
  return join(adapter.path.string(), ": holds embeddings beside the LoRA (", join_words(names),
              "); they are left aside, their words mean nothing here");
}

}  // namespace lora
