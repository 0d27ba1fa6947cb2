// SPDX-License-Identifier: Apache-2.0
// `lora export` and `lora import`: other programs' formats.
#pragma once

#include "commands/commands.h"

namespace lora {

int run_export(const Arguments& arguments);
int run_import(const Arguments& arguments);

}  // namespace lora
