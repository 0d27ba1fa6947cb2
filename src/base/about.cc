// SPDX-License-Identifier: Apache-2.0
#include "base/about.h"

namespace lora {

std::string_view tool_version() { return LORA_VERSION; }
std::string_view git_commit() { return LORA_COMMIT; }

}  // namespace lora
