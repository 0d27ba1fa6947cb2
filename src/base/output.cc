// SPDX-License-Identifier: Apache-2.0
#include "base/output.h"

#include <cstdio>
#include <iostream>

#include "base/error.h"

namespace lora {

void flush_output() {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return;
  fail(kOutputFailed);
}

}  // namespace lora
