// SPDX-License-Identifier: Apache-2.0
// What a folder holds, to compare the results of two runs.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "base/files.h"

namespace lora::test {

using Contents = std::map<std::string, std::string>;  // relative name -> bytes

inline Contents contents(const Path& folder) {
  Contents all;
  if (!std::filesystem::exists(folder)) return all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    all[std::filesystem::relative(entry.path(), folder).generic_string()] = read_file(entry.path());
  }
  return all;
}

// Names of the files that are not the same in both.
inline std::set<std::string> differing(const Contents& a, const Contents& b) {
  std::set<std::string> differ;
  for (const auto& [name, bytes] : a) {
    if (!b.contains(name) || b.at(name) != bytes) differ.insert(name);
  }
  for (const auto& [name, bytes] : b) {
    if (!a.contains(name)) differ.insert(name);
  }
  return differ;
}

}  // namespace lora::test
