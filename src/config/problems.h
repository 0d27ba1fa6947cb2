// SPDX-License-Identifier: Apache-2.0
// Mistakes of a configuration, collected so that all are told at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lora {

// Where a key or value was written: "configs/a.yaml:12:3", or "command line" for an override.
struct Place {
  std::string text;
  int line = 0;  // 1-based; 0 = the file as a whole; overrides come last
  int column = 0;
};

class Problems {
 public:
  void add(const Place& place, std::string_view key, std::string_view message);
  bool empty() const { return problems_.empty(); }
  // Throws Error (usage) with one line for each, in the order of the file, where there is any.
  void throw_if_any() const;

 private:
  struct Problem {
    Place place;
    std::string text;
  };
  std::vector<Problem> problems_;
};

}  // namespace lora
