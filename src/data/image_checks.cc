// SPDX-License-Identifier: Apache-2.0
#include "data/image_checks.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <vector>

namespace lora {
namespace {

// ITU-R 601 luma.
std::vector<double> greys(const Image& image) {
  std::vector<double> grey(static_cast<std::size_t>(image.width) * image.height);
  for (std::size_t i = 0; i < grey.size(); ++i) {
    const std::uint8_t* p = image.rgb.data() + i * 3;
    grey[i] = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
  }
  return grey;
}

}  // namespace

std::uint64_t difference_hash(const Image& image) {
  const std::vector<double> grey = greys(resize_area(image, 9, 8));
  std::uint64_t hash = 0;
  for (std::size_t y = 0; y < 8; ++y) {
    for (std::size_t x = 0; x < 8; ++x) hash = hash << 1 | (grey[y * 9 + x] > grey[y * 9 + x + 1]);
  }
  return hash;
}

int hamming(std::uint64_t a, std::uint64_t b) { return std::popcount(a ^ b); }

Mosaic mosaic_of(const Image& image) {
  Mosaic mosaic{};
  std::ranges::copy(resize_area(image, 8, 8).rgb, mosaic.begin());
  return mosaic;
}

bool looks_alike(std::uint64_t hash_a, const Mosaic& a, std::uint64_t hash_b, const Mosaic& b) {
  constexpr int kBits = 4, kColour = 16;
  if (hamming(hash_a, hash_b) > kBits) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::abs(int{a[i]} - int{b[i]}) > kColour) return false;
  }
  return true;
}

Image for_measures(const Image& image) {
  const int side = std::min(image.width, image.height);
  if (side <= 256) return image;
  const double scale = 256.0 / side;
  return resize_area(image, static_cast<int>(image.width * scale),
                     static_cast<int>(image.height * scale));
}

double sharpness(const Image& small) {
  const std::vector<double> g = greys(small);
  const auto width = static_cast<std::size_t>(small.width);
  const auto height = static_cast<std::size_t>(small.height);
  double sum = 0, squares = 0, count = 0;
  for (std::size_t y = 1; y + 1 < height; ++y) {
    for (std::size_t x = 1; x + 1 < width; ++x) {
      const std::size_t i = y * width + x;
      const double value = g[i - 1] + g[i + 1] + g[i - width] + g[i + width] - 4 * g[i];
      sum += value;
      squares += value * value;
      ++count;
    }
  }
  if (count == 0) return 0;
  return squares / count - (sum / count) * (sum / count);
}

}  // namespace lora
