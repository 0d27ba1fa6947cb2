// SPDX-License-Identifier: Apache-2.0
// `lora prepare images|text` and `lora label`.
#pragma once

#include "commands/commands.h"

namespace lora {

int run_prepare(const Arguments& arguments);
int run_prepare_text(const Arguments& arguments);  // what follows `lora prepare text`
int run_label(const Arguments& arguments);

}  // namespace lora
