// SPDX-License-Identifier: Apache-2.0
// Results of preflight as text, to compare with what is expected.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "versions/preflight.h"

namespace lora::test {

// "W04 error: ..." for everything that is not plainly ok.
inline std::string report_of(const std::vector<CheckResult>& results) {
  std::string text;
  for (const CheckResult& result : results) {
    if (result.verdict == Verdict::ok) continue;
    text += join(result.id, " ", verdict_name(result.verdict), ": ", result.message, "\n");
  }
  return text;
}

}  // namespace lora::test
