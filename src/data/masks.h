// SPDX-License-Identifier: Apache-2.0
// Masks for a masked loss, as other trainers keep them among the pictures.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "data/image_files.h"

namespace lora {

// Relative names of those of `pictures` that are masks of others: "a-masklabel.png" (OneTrainer),
// "a_mask.png", "a-mask.png" beside "a.jpg", or "masks/a.png" beside or below the folder of
// "a.jpg". What has a caption file of its own is a picture.
std::set<std::string> masks_among(const std::vector<ImageFile>& pictures);

}  // namespace lora
