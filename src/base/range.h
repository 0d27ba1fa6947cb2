// SPDX-License-Identifier: Apache-2.0
// Which numbers a configuration key or an option takes.
#pragma once

#include <limits>
#include <string>

namespace lora {

// low to high, both included unless `open` (then greater than low).
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool open = false;
};
constexpr Range at_least(double low) { return {.low = low}; }
constexpr Range above(double low) { return {.low = low, .open = true}; }
constexpr Range between(double low, double high) { return {.low = low, .high = high}; }

// False for NaN.
bool contains(const Range& range, double number);

// "0 to 1", "at least 1", "greater than 0"; "" without a limit.
std::string range_text(const Range& range);

}  // namespace lora
