// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "commands/commands.h"

namespace lora {

// lora train --config FILE [key=value ...] [--check] [--resume] [--json]
int run_train(const Arguments& arguments);

}  // namespace lora
