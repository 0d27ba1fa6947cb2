// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "commands/commands.h"

namespace lora {

int run_generate(const Arguments& arguments);     // by the kind of --base
int generate_images(const Arguments& arguments);  // generate_images.cc

}  // namespace lora
