// SPDX-License-Identifier: Apache-2.0
// A labelled sheet of pictures: one row a version, one column a prompt and seed.
#pragma once

#include <string>
#include <vector>

#include "io/image.h"

namespace lora {

struct SheetRow {
  std::string label;
  std::vector<Image> images;  // of one size; empty pictures are left white
};

// Column titles above, row labels on the left. Small pictures are enlarged (whole factors, no
// smoothing) until they are at least 128 wide.
Image contact_sheet(const std::vector<std::string>& columns, const std::vector<SheetRow>& rows);

// Black text on white, as high as its lines need, at most `width` wide (words are wrapped).
Image text_image(const std::string& text, int width);

}  // namespace lora
