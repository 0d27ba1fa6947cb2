// SPDX-License-Identifier: Apache-2.0
// The life of versions: `lora log`, `lora show` and `lora verify`.
#pragma once

#include "commands/commands.h"

namespace lora {

// One line a version below the output root.
int run_log(const Arguments& arguments);

// One version: parents, adapter, recipe, metrics.
int run_show(const Arguments& arguments);

// Hashes versions again; returns 3 where one does not match its record.
int run_verify(const Arguments& arguments);

}  // namespace lora
