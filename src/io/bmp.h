// SPDX-License-Identifier: Apache-2.0
// Windows bitmaps, read here because libvips hands them to ImageMagick, which knows many formats
// that start programs or read other files. Source: Microsoft's description of BITMAPINFOHEADER.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

struct Bitmap {
  int width = 0, height = 0;
  bool alpha = false;              // some pixel is not opaque
  std::vector<std::uint8_t> rgba;  // row-major from the top, 4 bytes a pixel
};

// 1, 4, 8, 16, 24 and 32 bits a pixel, uncompressed or with bit fields. Throws Error: `where`,
// what is wrong; also for more than `most_pixels`.
Bitmap read_bmp(std::string_view bytes, const std::string& where, double most_pixels);

}  // namespace lora
