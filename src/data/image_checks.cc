// SPDX-License-Identifier: Apache-2.0
#include "data/image_checks.h"

#include <algorithm>
#include <bit>
#include <cmath>
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

// Mean and variance of numbers that come one by one.
struct Moments {
  double sum = 0, squares = 0, count = 0;
  void add(double value) {
    sum += value;
    squares += value * value;
    ++count;
  }
  double mean() const { return sum / count; }
  double variance() const { return std::max(0.0, squares / count - mean() * mean()); }
};

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

bool looks_alike(const PictureMark& a, const PictureMark& b) {
  constexpr int kColour = 16;
  if (hamming(a.hash, b.hash) > kLikeBits) return false;
  for (std::size_t i = 0; i < a.mosaic.size(); ++i) {
    if (std::abs(int{a.mosaic[i]} - int{b.mosaic[i]}) > kColour) return false;
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
  Moments laplacian;
  for (std::size_t y = 1; y + 1 < height; ++y) {
    for (std::size_t x = 1; x + 1 < width; ++x) {
      const std::size_t i = y * width + x;
      laplacian.add(g[i - 1] + g[i + 1] + g[i - width] + g[i + width] - 4 * g[i]);
    }
  }
  return laplacian.count == 0 ? 0 : laplacian.variance();
}

PictureLook look_of(const Image& small) {
  Moments luma, saturation, red_green, yellow_blue;
  for (std::size_t i = 0; i + 2 < small.rgb.size(); i += 3) {
    const double r = small.rgb[i], g = small.rgb[i + 1], b = small.rgb[i + 2];
    const double highest = std::max({r, g, b}), lowest = std::min({r, g, b});
    luma.add((0.299 * r + 0.587 * g + 0.114 * b) / 255);
    saturation.add(highest > 0 ? (highest - lowest) / highest : 0);
    red_green.add(r - g);
    yellow_blue.add(0.5 * (r + g) - b);
  }
  return {.brightness = luma.mean(),
          .contrast = std::sqrt(luma.variance()),
          .saturation = saturation.mean(),
          .colourfulness = std::sqrt(red_green.variance() + yellow_blue.variance()) +
                           0.3 * std::hypot(red_green.mean(), yellow_blue.mean())};
}

}  // namespace lora
