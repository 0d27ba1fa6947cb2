// SPDX-License-Identifier: Apache-2.0
// `lora inspect FILE_OR_DIR [--json]`
#pragma once

#include "commands/commands.h"

namespace lora {

int run_inspect(const Arguments& arguments);

}  // namespace lora
