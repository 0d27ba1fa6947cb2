// SPDX-License-Identifier: Apache-2.0
// The table of adapter dialects: how one tensor name says which module and which part it is.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lora {

enum class Slot { a, b, mid, alpha, magnitude };

struct ParsedKey {
  std::string module;  // path in the common form (adapter_file.h)
  Slot slot;
};

struct KeyDialect {
  std::string_view name;
  // The parts of a key of this dialect; nothing for a key of another.
  std::optional<ParsedKey> (*parse)(std::string_view key);
};

// Sources: PEFT (Apache-2.0), diffusers (Apache-2.0) and sd-scripts (Apache-2.0) file formats.
// cloneofsimo's positional names need the header's metadata: cloneofsimo.h.
std::span<const KeyDialect> key_dialects();

// "LoHa" and the like for a key of an adapter kind that is not LoRA, "" otherwise.
std::string_view foreign_adapter(std::string_view key);

}  // namespace lora
