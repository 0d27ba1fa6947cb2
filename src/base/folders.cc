// SPDX-License-Identifier: Apache-2.0
#include "base/folders.h"

#include <algorithm>

namespace lora {

std::vector<std::string> folders_in(const Path& root) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(root, ignored)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && !name.starts_with('.')) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace lora
