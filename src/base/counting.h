// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>

namespace lora {

// The value that most names have; the smallest of equally frequent ones, Value{} of none.
template <typename Name, typename Value>
Value most_frequent(const std::map<Name, Value>& values) {
  std::map<Value, int> counts;
  for (const auto& [name, value] : values) ++counts[value];
  const auto fewer = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto most = std::max_element(counts.begin(), counts.end(), fewer);
  return most == counts.end() ? Value{} : most->first;
}

}  // namespace lora
