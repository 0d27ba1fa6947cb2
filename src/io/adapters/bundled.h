// SPDX-License-Identifier: Apache-2.0
// Textual-inversion embeddings that programs put into LoRA files for images ("bundle_emb.NAME...").
// They stand in AdapterFile::others and are left aside, where any other such tensor is missed.
#pragma once

#include <string>
#include <string_view>

#include "io/adapters/adapter_file.h"

namespace lora {

bool is_bundled_embedding(std::string_view tensor);

// What the user is told of the embeddings in the file; "" where it has none.
std::string left_aside(const AdapterFile& adapter);

}  // namespace lora
