// SPDX-License-Identifier: Apache-2.0
// Pictures of versions, side by side.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/sd_generate.h"
#include "runs/session.h"

namespace lora {

struct PictureJob {
  std::vector<std::string> prompts;
  std::int64_t count = 1;  // pictures of a prompt, each with the next seed
  ImageRequest request;    // of all of them; its prompt is not used, its seed is the first one's
  Path output;             // a PNG; or a folder (no ending), which is made
};

// Into a folder each picture is written as soon as it is drawn ("0001-v1_0.8.png"), and at the end,
// where there are several, "sheet.png". A PNG holds the picture, or the sheet of several: a row a
// version, a column a prompt and seed. Returns how many were drawn.
std::int64_t draw_pictures(const ImageSession& session, const std::vector<NamedVersion>& versions,
                           const PictureJob& job);

}  // namespace lora
