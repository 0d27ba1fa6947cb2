// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command_line.h"
#include "runs/session.h"

namespace lora {

// The options that `lora generate` and `lora eval` share. A template is for texts only.
inline SessionOptions session_options(const CommandLine& line) {
  return {.base = line.text("--base"),
          .prompt_template = line.text("--template"),
          .dtype = line.text("--dtype"),
          .device = line.text("--device"),
          .threads = static_cast<int>(line.whole("--threads"))};
}

}  // namespace lora
