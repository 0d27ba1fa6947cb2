// SPDX-License-Identifier: Apache-2.0
// Numbers in texts from outside: the whole text is the number, it fits, and it is finite.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lora {

// In digits alone, "007" too; nothing for "", "-1", "+1", "1.0" and what 64 bits do not hold.
std::optional<std::int64_t> whole_number(std::string_view text);

// "0.8", "-1", "1e-4"; nothing for "", "nan", "inf", "1e400", "+1", "0x1", "1 ".
std::optional<double> finite_number(std::string_view text);

}  // namespace lora
