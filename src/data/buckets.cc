// SPDX-License-Identifier: Apache-2.0
#include "data/buckets.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"

namespace lora {
namespace {

double aspect(Size size) { return static_cast<double>(size.width) / size.height; }
int rounded(double x) { return static_cast<int>(x + 0.5); }
int floor_to(double x, int step) { return rounded(x) / step * step; }

// Shrinks to at most the area, keeping the aspect ratio as well as steps allow.
Size shrink_to_area(const BucketRule& rule, Size picture) {
  const double area = static_cast<double>(rule.resolution) * rule.resolution;
  if (static_cast<double>(picture.width) * picture.height <= area) return picture;
  const double ratio = aspect(picture);
  const double width = std::sqrt(area * ratio);
  const int by_width = floor_to(width, rule.step);
  const int by_height = floor_to(area / width, rule.step);
  if (by_width == 0 || by_height == 0) return {by_width, by_height};
  const int height_there = floor_to(by_width / ratio, rule.step);
  const int width_there = floor_to(by_height * ratio, rule.step);
  const double error_width =
      height_there == 0 ? INFINITY : std::abs(static_cast<double>(by_width) / height_there - ratio);
  const double error_height = std::abs(static_cast<double>(width_there) / by_height - ratio);
  if (error_width < error_height) return {by_width, rounded(by_width / ratio)};
  return {rounded(by_height * ratio), by_height};
}

Size nearest_bucket(const std::vector<Size>& buckets, Size picture) {
  if (std::binary_search(buckets.begin(), buckets.end(), picture)) return picture;
  const double ratio = aspect(picture);
  return *std::min_element(buckets.begin(), buckets.end(), [&](Size a, Size b) {
    return std::abs(aspect(a) - ratio) < std::abs(aspect(b) - ratio);
  });
}

// Scaled so that it covers the bucket.
Size cover(Size bucket, Size picture) {
  const bool wider = aspect(picture) > aspect(bucket);
  const double scale = wider ? static_cast<double>(bucket.height) / picture.height
                             : static_cast<double>(bucket.width) / picture.width;
  return {rounded(picture.width * scale), rounded(picture.height * scale)};
}

}  // namespace

std::vector<Size> make_buckets(const BucketRule& rule) {
  std::set<Size> sizes;
  const int side = rule.resolution / rule.step * rule.step;
  sizes.insert({side, side});
  const int area = rule.resolution * rule.resolution;
  for (int width = rule.min_size; width <= rule.max_size; width += rule.step) {
    const int height = std::min(rule.max_size, area / width / rule.step * rule.step);
    if (height < rule.min_size) continue;
    sizes.insert({width, height});
    sizes.insert({height, width});
  }
  return {sizes.begin(), sizes.end()};
}

Fit fit_bucket(const BucketRule& rule, Size picture) {
  Fit fit;
  if (rule.no_upscale) {
    fit.resized = shrink_to_area(rule, picture);
    fit.bucket = {fit.resized.width / rule.step * rule.step,
                  fit.resized.height / rule.step * rule.step};
    if (fit.bucket.width == 0 || fit.bucket.height == 0) {
      fail("picture of ", picture.width, "x", picture.height, ": smaller than one bucket step (",
           rule.step, "); use a larger picture, or allow upscaling");
    }
  } else {
    fit.bucket = nearest_bucket(make_buckets(rule), picture);
    fit.resized = cover(fit.bucket, picture);
  }
  fit.left = std::max(0, (fit.resized.width - fit.bucket.width) / 2);
  fit.top = std::max(0, (fit.resized.height - fit.bucket.height) / 2);
  return fit;
}

Fit fit_square(int side, Size picture) {
  const auto scaled = [&](int length, int other) {
    return static_cast<int>(static_cast<std::int64_t>(side) * length / other);
  };
  Fit fit;
  fit.bucket = {side, side};
  fit.resized = picture.width <= picture.height ? Size{side, scaled(picture.height, picture.width)}
                                                : Size{scaled(picture.width, picture.height), side};
  fit.left = static_cast<int>(std::nearbyint((fit.resized.width - side) / 2.0));
  fit.top = static_cast<int>(std::nearbyint((fit.resized.height - side) / 2.0));
  return fit;
}

Image apply_fit(const Image& image, const Fit& fit, bool always_lanczos) {
  const auto scale = always_lanczos ? resize_lanczos : resize;
  const Image resized = scale(image, fit.resized.width, fit.resized.height);
  return crop(resized, fit.left, fit.top, fit.bucket.width, fit.bucket.height);
}

}  // namespace lora
