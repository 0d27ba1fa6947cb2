// SPDX-License-Identifier: Apache-2.0
// The two resize rules of io/image.h. Compared with tests/golden/sd/preprocess.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "io/image.h"

namespace lora {
namespace {

constexpr int kBits = 22;  // Pillow's fixed-point precision: 32 - 8 bits of pixel - 2 of headroom

double lanczos3(double x) {
  if (x == 0) return 1;
  if (std::abs(x) >= 3) return 0;
  const double p = x * std::numbers::pi;
  return 3 * std::sin(p) * std::sin(p / 3) / (p * p);
}

// Pillow's BICUBIC: a = -0.5.
double cubic(double x) {
  const double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

struct Filter {
  double (*weight)(double);
  double support;
};
constexpr Filter kLanczos = {lanczos3, 3};
constexpr Filter kBicubic = {cubic, 2};

// For one output position: first input position and the weights from there.
struct Taps {
  int first = 0;
  std::vector<std::int64_t> weights;
};

std::vector<Taps> filter_taps(const Filter& filter, int from, int to) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double support = filter.support * stretch;
  std::vector<Taps> all(static_cast<std::size_t>(to));
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int last = std::min(static_cast<int>(centre + support + 0.5), from);
    std::vector<double> exact;
    double sum = 0;
    for (int x = first; x < last; ++x) {
      exact.push_back(filter.weight((x - centre + 0.5) / stretch));
      sum += exact.back();
    }
    Taps& taps = all[static_cast<std::size_t>(i)];
    taps.first = first;
    for (double w : exact) {
      taps.weights.push_back(
          static_cast<std::int64_t>(std::trunc(w / sum * (1 << kBits) + (w < 0 ? -0.5 : 0.5))));
    }
  }
  return all;
}

std::uint8_t clip8(std::int64_t value) {
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(value >> kBits, 0, 255));
}

// One pass over columns (along x).
Image filter_x(const Filter& filter, const Image& image, int width) {
  const auto taps = filter_taps(filter, image.width, width);
  Image out{width, image.height,
            std::vector<std::uint8_t>(static_cast<std::size_t>(width) * image.height * 3)};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < width; ++x) {
      const Taps& t = taps[static_cast<std::size_t>(x)];
      for (int c = 0; c < 3; ++c) {
        std::int64_t sum = 1 << (kBits - 1);
        const std::uint8_t* in = image.row(y) + t.first * 3 + c;
        for (std::int64_t w : t.weights) sum += w * *in, in += 3;
        out.row(y)[x * 3 + c] = clip8(sum);
      }
    }
  }
  return out;
}

// One pass over rows (along y).
Image filter_y(const Filter& filter, const Image& image, int height) {
  const auto taps = filter_taps(filter, image.height, height);
  const int row = image.width * 3;
  Image out{image.width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(row) * height)};
  for (int y = 0; y < height; ++y) {
    const Taps& t = taps[static_cast<std::size_t>(y)];
    for (int x = 0; x < row; ++x) {
      std::int64_t sum = 1 << (kBits - 1);
      const std::uint8_t* in = image.row(t.first) + x;
      for (std::int64_t w : t.weights) sum += w * *in, in += row;
      out.row(y)[x] = clip8(sum);
    }
  }
  return out;
}

void check_size(int width, int height) {
  if (width < 1 || height < 1) fail("resize: size ", width, "x", height, ", expected at least 1x1");
}

Image resize_filter(const Filter& filter, const Image& image, int width, int height) {
  check_size(width, height);
  const Image wide = width == image.width ? image : filter_x(filter, image, width);
  return height == image.height ? wide : filter_y(filter, wide, height);
}

// Share of each input position in one output position: weights sum to 1.
struct AreaTaps {
  int first = 0;
  std::vector<double> weights;
};

std::vector<AreaTaps> area_taps(int from, int to) {
  const double scale = static_cast<double>(from) / to;
  std::vector<AreaTaps> all(static_cast<std::size_t>(to));
  for (int i = 0; i < to; ++i) {
    // Integers on both sides: begin = i * from / to exactly.
    const double begin = static_cast<double>(static_cast<std::int64_t>(i) * from) / to;
    const double end = static_cast<double>(static_cast<std::int64_t>(i + 1) * from) / to;
    AreaTaps& taps = all[static_cast<std::size_t>(i)];
    taps.first = static_cast<int>(begin);
    for (int x = taps.first; x < from && x < end; ++x) {
      taps.weights.push_back((std::min<double>(x + 1, end) - std::max<double>(x, begin)) / scale);
    }
  }
  return all;
}

}  // namespace

Image resize_lanczos(const Image& image, int width, int height) {
  return resize_filter(kLanczos, image, width, height);
}

Image resize_bicubic(const Image& image, int width, int height) {
  return resize_filter(kBicubic, image, width, height);
}

Image resize_area(const Image& image, int width, int height) {
  check_size(width, height);
  const auto columns = area_taps(image.width, width);
  const auto rows = area_taps(image.height, height);
  Image out{width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width) * height * 3)};
  std::vector<double> line(static_cast<std::size_t>(image.width) * 3);
  for (int y = 0; y < height; ++y) {
    const AreaTaps& t = rows[static_cast<std::size_t>(y)];
    std::fill(line.begin(), line.end(), 0.0);
    for (std::size_t k = 0; k < t.weights.size(); ++k) {
      const std::uint8_t* in = image.row(t.first + static_cast<int>(k));
      for (std::size_t x = 0; x < line.size(); ++x) line[x] += t.weights[k] * in[x];
    }
    for (int x = 0; x < width; ++x) {
      const AreaTaps& u = columns[static_cast<std::size_t>(x)];
      for (int c = 0; c < 3; ++c) {
        double sum = 0;
        for (std::size_t k = 0; k < u.weights.size(); ++k) {
          sum += u.weights[k] * line[(static_cast<std::size_t>(u.first) + k) * 3 + c];
        }
        out.row(y)[x * 3 + c] =
            static_cast<std::uint8_t>(std::clamp(std::nearbyint(sum), 0., 255.));
      }
    }
  }
  return out;
}

}  // namespace lora
