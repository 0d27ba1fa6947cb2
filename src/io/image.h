// SPDX-License-Identifier: Apache-2.0
// Pictures: read any common format as 8-bit sRGB, resize as the reference trainers do, write PNG.
// Decoding is libvips' (safe on hostile files); the two resize rules are ours because training
// must see the same pixels as kohya sd-scripts (area) and Pillow (Lanczos) give.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"

namespace lora {

// Row-major, interleaved RGB, 3 bytes a pixel.
struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;

  std::uint8_t* row(int y) { return rgb.data() + static_cast<std::size_t>(y) * width * 3; }
  const std::uint8_t* row(int y) const {
    return rgb.data() + static_cast<std::size_t>(y) * width * 3;
  }
};

using Colour = std::array<std::uint8_t, 3>;

struct ImageOptions {
  Colour background = {255, 255, 255};  // what shows through transparent pixels
  bool drop_alpha = false;              // keep the colours under transparency (kohya's rule)
};

struct DecodedImage {
  Image image;
  std::string format;         // "png", "jpeg", "webp", "tiff", "heif" (AVIF), "gif", ...
  bool had_alpha = false;     // and was flattened (or dropped)
  bool was_rotated = false;   // by its EXIF orientation
  bool was_converted = false; // from an ICC profile or another colour space to sRGB
  int pages = 1;              // of an animation; the first is read
  std::map<std::string, std::string> text;  // PNG text chunks by keyword
};

// Throws Error: "<path>: not a picture that can be read (...)", also for a truncated file.
DecodedImage read_image(const Path& path, const ImageOptions& options = {});

// Pillow's LANCZOS in 8 bits with clipping between its two passes (columns first): same bytes.
Image resize_lanczos(const Image& image, int width, int height);
// Pillow's BICUBIC, the same way (captioning models see pictures through it).
Image resize_bicubic(const Image& image, int width, int height);
// Exact average over the covered area, rounded half to even (OpenCV's INTER_AREA when shrinking).
Image resize_area(const Image& image, int width, int height);
// kohya's choice: area where both sides shrink, else Lanczos; the picture itself where it fits.
Image resize(const Image& image, int width, int height);

// Throws Error where the rectangle does not lie inside the picture.
Image crop(const Image& image, int left, int top, int width, int height);
Image flip_horizontally(const Image& image);
// The part of that size which draws the eye (libvips' attention: edges, skin, saturation).
Image crop_attention(const Image& image, int width, int height);

// Atomic; `text` becomes PNG text chunks (WebUIs read "parameters").
void write_png(const Path& path, const Image& image,
               const std::map<std::string, std::string>& text = {});
// The same as bytes, for TensorBoard.
std::string encode_png(const Image& image, const std::map<std::string, std::string>& text = {});

}  // namespace lora
