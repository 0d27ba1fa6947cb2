// SPDX-License-Identifier: Apache-2.0
// Class pictures for prior preservation (DreamBooth, arXiv 2208.12242): the user's own, and where
// there are fewer than num_class_images, pictures that the plain base draws from class_prompt. They
// are kept apart: nothing is written into class_data_dir.
#pragma once

#include "config/config.h"
#include "models/sd_generate.h"

namespace lora {

struct DrawnPictures {
  Path folder;              // in .cache below the output root, named after how they are drawn
  std::int64_t wanted = 0;  // class_00000.png, ...
  std::int64_t missing = 0;
};

// What is to be drawn beside `own` pictures of the user. Writes nothing.
DrawnPictures plan_class_images(const Config& config, std::int64_t own);

// Draws what is missing, one seed each.
void draw_class_images(const Config& config, const DrawnPictures& plan, const StableDiffusion& sd,
                       const SdPrompts& prompts);

// "class pictures: 2 in reg, 98 to be drawn into output/.cache/..."
std::string class_images_text(const Config& config, const DrawnPictures& plan, std::int64_t own);

}  // namespace lora
