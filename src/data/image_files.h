// SPDX-License-Identifier: Apache-2.0
// The pictures of a folder, as people keep them.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"

namespace lora {

struct ImageFile {
  Path path;
  std::string relative;      // to the folder that was searched, with '/'
  int repeats = 1;           // kohya's "10_name" folders: 10
  std::string concept_name;  // "name" of such a folder, "" elsewhere
  std::string problem;       // why it cannot be read; "" = it can
};

// Every file below `folder` whose ending is that of a picture (png, jpg, jpeg, webp, tif, tiff,
// avif, gif, bmp), in the order of their relative names, and with them the folders and links that
// cannot be read (base/folders.h). Hidden files and folders are passed over.
// Throws Error where there is no picture: what was looked for and found.
std::vector<ImageFile> list_images(const Path& folder);

}  // namespace lora
