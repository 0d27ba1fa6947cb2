// SPDX-License-Identifier: Apache-2.0
// What users bring from other programs, and what this version does not do yet.
#pragma once

#include <string>
#include <string_view>

#include "config/fields.h"

namespace lora {

// Keys of other programs that are no alias of ours: what to write instead; "" = not known.
std::string_view advice_for(std::string_view foreign_key);

// The choice meant by `written`: another case, or another program's word ("adamw_torch").
std::string canonical_choice(const Field& field, const std::string& written);

// Choices of other programs that have no equal here, in lower case: what to write instead; "" = not
// known.
std::string_view advice_for_choice(std::string_view key, std::string_view written);
// True for what other programs write where `key` is not set (max_steps: -1).
bool means_absent(std::string_view key, std::string_view written);

// Why `value` of `key` is refused in this version; "" = it works.
std::string not_available(std::string_view key, std::string_view value);

// True for an initialisation of PEFT that is not implemented here ("pissa", "pissa_niter_4", ...).
bool is_foreign_initialisation(std::string_view value);

}  // namespace lora
