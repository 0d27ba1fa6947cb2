// SPDX-License-Identifier: Apache-2.0
// Which program this is.
#pragma once

#include <string_view>

namespace lora {

std::string_view tool_version();  // "0.1.0"
std::string_view git_commit();    // at configuration time, "" outside a checkout

}  // namespace lora
