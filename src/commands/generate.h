// SPDX-License-Identifier: Apache-2.0
// `lora generate`: text or pictures from a prompt, with several versions side by side.
#pragma once

#include "commands/commands.h"

namespace lora {

int run_generate(const Arguments& arguments);

}  // namespace lora
