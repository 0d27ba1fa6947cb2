// SPDX-License-Identifier: Apache-2.0
// Cheap measures of a picture: no network, a pass over its pixels.
#pragma once

#include <cstdint>

#include "io/image.h"

namespace lora {

// 64-bit difference hash: the picture as 9x8 greys, each compared with its right neighbour.
// Pictures that look alike differ in few bits (<= 4 of 64: a near-duplicate).
std::uint64_t difference_hash(const Image& image);
int hamming(std::uint64_t a, std::uint64_t b);

// Variance of the Laplacian of the grey picture, scaled to a short side of 256 (if larger), so
// that it does not depend on the size. Below about 30 (of 0..255 greys) a photo is blurred.
double sharpness(const Image& image);

}  // namespace lora
