// SPDX-License-Identifier: Apache-2.0
// Small folders of pictures, and what a scan says of them.
#pragma once

#include "data/image_dataset.h"

namespace lora::test {

// A new folder of that name with one picture, "good one.png".
inline Path folder_with(const Image& image, const std::string& name) {
  const Path folder = std::filesystem::temp_directory_path() / name;
  std::filesystem::remove_all(folder);
  write_png(folder / "good one.png", image);
  return folder;
}

// At 64x64 pixels, with nothing known before.
inline ImageScan scan_folder(const Path& folder) {
  ImageDataOptions options;
  options.folder = folder;
  options.images.resolution = 64;
  ImageFactsCache cache;
  return scan_images(options, cache);
}

}  // namespace lora::test
