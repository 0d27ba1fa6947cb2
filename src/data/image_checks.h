// SPDX-License-Identifier: Apache-2.0
// Cheap measures of a picture: no network, a pass over its pixels.
#pragma once

#include <array>
#include <cstdint>

#include "io/image.h"

namespace lora {

// 64-bit difference hash: the picture as 9x8 greys, each compared with its right neighbour.
// Pictures that look alike differ in few bits.
std::uint64_t difference_hash(const Image& image);
int hamming(std::uint64_t a, std::uint64_t b);

// The picture as 8x8 colours, red, green, blue.
using Mosaic = std::array<std::uint8_t, 192>;
Mosaic mosaic_of(const Image& image);

// How a picture is recognised although its bytes differ.
struct PictureMark {
  std::uint64_t hash = 0;  // difference_hash
  Mosaic mosaic{};
  bool operator==(const PictureMark&) const = default;
};

// Both the same picture in another size, format or quality: hashes differ in at most kLikeBits of
// 64, and no colour of the mosaics by more than 16 of 255. The hash alone takes drawings on a plain
// ground for each other.
inline constexpr int kLikeBits = 4;
bool looks_alike(const PictureMark& a, const PictureMark& b);

// The picture with a short side of 256, where it is larger: all measures are taken of this, so that
// they do not depend on the size.
Image for_measures(const Image& image);

// Variance of the Laplacian of the grey picture. Below about 30 (of 0..255 greys) a photo is
// blurred.
double sharpness(const Image& small);

// Colours and light.
struct PictureLook {
  double brightness = 0;     // mean luma, 0..1
  double contrast = 0;       // its standard deviation
  double saturation = 0;     // mean of (max - min) / max of the channels, 0..1
  double colourfulness = 0;  // Hasler and Suesstrunk 2003, of 0..255
};
PictureLook look_of(const Image& small);

}  // namespace lora
