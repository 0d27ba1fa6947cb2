// SPDX-License-Identifier: Apache-2.0
// Where the captions of pictures came from, in words with counts.
#pragma once

#include <string>
#include <vector>

#include "data/image_dataset.h"

namespace lora {

// "3 from metadata.csv, 2 from caption files, 1 from file names, 1 without"
std::string caption_sources(const std::vector<const ImageRecord*>& pictures);

// "2 in ., 3 in img/10_zq toy (10 times each)"; "" where all lie in one folder, once.
std::string picture_folders(const std::vector<const ImageRecord*>& pictures);

// What speaks against the captions: names, none at all, lists, files that hold none.
std::vector<std::string> caption_warnings(const std::vector<const ImageRecord*>& pictures);

}  // namespace lora
