// SPDX-License-Identifier: Apache-2.0
// `lora eval`: metrics of versions on data files.
#pragma once

#include "commands/commands.h"

namespace lora {

int run_eval(const Arguments& arguments);

}  // namespace lora
