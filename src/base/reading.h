// SPDX-License-Identifier: Apache-2.0
// Which exit code a broken file of the user's has: 2 while everything is being read and checked, 1
// once the work has begun.
#pragma once

#include "base/error.h"

namespace lora {

// Runs what reads the user's files before any work is done.
template <typename Action>
auto reading(Action&& action) {
  try {
    return action();
  } catch (const Error& error) {
    if (error.code() != Exit::failed) throw;
    throw Error(error.what(), Exit::usage);
  }
}

}  // namespace lora
