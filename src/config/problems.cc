// SPDX-License-Identifier: Apache-2.0
#include "config/problems.h"

#include <algorithm>
#include <tuple>

#include "base/error.h"

namespace lora {

void Problems::add(const Place& place, std::string_view key, std::string_view message) {
  const std::string_view separator = key.empty() ? "" : ": ";
  problems_.push_back({place, join(place.text, ": ", key, separator, message)});
}

void Problems::throw_if_any() const {
  if (problems_.empty()) return;
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
  std::string text;
  for (const Problem& problem : sorted) text += (text.empty() ? "" : "\n") + problem.text;
  fail_usage(text);
}

}  // namespace lora
