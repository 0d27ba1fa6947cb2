// SPDX-License-Identifier: Apache-2.0
// The end of standard output: a full disk must not pass for success.
#pragma once

namespace lora {

inline constexpr const char* kOutputFailed =
    "standard output: cannot be written; is the disk full?";

// Writes what is left of it. Throws Error where that, or what was written before, failed.
void flush_output();

}  // namespace lora
