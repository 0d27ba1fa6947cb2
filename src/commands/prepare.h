// SPDX-License-Identifier: Apache-2.0
// `lora prepare images` and `lora label`: the data preprocessing engine from the command line.
#pragma once

#include "commands/commands.h"

namespace lora {

int run_prepare(const Arguments& arguments);
int run_label(const Arguments& arguments);

}  // namespace lora
