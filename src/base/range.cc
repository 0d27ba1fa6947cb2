// SPDX-License-Identifier: Apache-2.0
#include "base/range.h"

#include <fmt/format.h>

namespace lora {

bool contains(const Range& range, double number) {
  return (range.open ? number > range.low : number >= range.low) && number <= range.high;
}

std::string range_text(const Range& range) {
  const bool low = range.low != Range{}.low;
  const bool high = range.high != Range{}.high;
  if (low && high) return fmt::format("{:.15g} to {:.15g}", range.low, range.high);
  if (low) return fmt::format("{} {:.15g}", range.open ? "greater than" : "at least", range.low);
  return high ? fmt::format("at most {:.15g}", range.high) : "";
}

}  // namespace lora
