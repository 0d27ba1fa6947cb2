// SPDX-License-Identifier: Apache-2.0
// Options of the commands that read texts.
#pragma once

#include "cli/option.h"

namespace lora {

constexpr Option kColumn{
    .name = "--column",
    .value = "ROLE=NAME",
    .help = "A column of another name, such as instruction=question (`lora help config columns`).",
    .many = true};

}  // namespace lora
