// SPDX-License-Identifier: Apache-2.0
// Class pictures for prior preservation (DreamBooth, arXiv 2208.12242).
#pragma once

#include "config/config.h"
#include "models/sd_generate.h"

namespace lora {

// The folder of class pictures: class_data_dir, else .cache below the output root. Where fewer
// than num_class_images lie there, the missing ones are drawn from class_prompt with the plain
// base, one seed each. Returns the folder. Throws Error (usage) where class_prompt is empty.
Path class_images(const Config& config, const StableDiffusion& sd, const SdPrompts& prompts);

}  // namespace lora
