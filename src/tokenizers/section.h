// SPDX-License-Identifier: Apache-2.0
// A file of a tokenizer folder, or a section of one, read key by key.
#pragma once

#include "base/json_reader.h"

namespace lora {

using Section = JsonReader<nlohmann::json>;
inline constexpr const char* kTakeOriginal = "take the file from the original model";

}  // namespace lora
