// SPDX-License-Identifier: Apache-2.0
// What lies in a folder, as people keep it: with links, pipes, names of other systems.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"

namespace lora {

// Names of the folders in `root`, in order, without hidden ones; none where there is no such place.
std::vector<std::string> folders_in(const Path& root);

// A file below a folder.
struct FoundFile {
  Path path;
  std::string relative;  // to the folder, with '/'; links stay as they are called
  std::string problem;   // why it cannot be read; "" = it can
};

// Files below `folder` in the order of their relative names, without hidden files and folders.
// Links to files and folders are followed, but not to a folder around the one they lie in. A place
// that cannot be read stands in the list with its reason: a folder without permission, a link that
// leads nowhere or in a circle, a pipe or device, a name that is not UTF-8 (`relative` shows its
// bytes as \xE9). Throws Error (usage) where `folder` is no folder that can be read.
std::vector<FoundFile> files_below(const Path& folder);

}  // namespace lora
