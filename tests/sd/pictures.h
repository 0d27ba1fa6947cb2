// SPDX-License-Identifier: Apache-2.0
// The training pictures of golden/sd/train_image.
#pragma once

#include <algorithm>
#include <cmath>

#include "data/image_dataset.h"
#include "tests/sd/sd_support.h"

namespace lora::test {

// Buckets that hold every picture of `list` (expected.json: "images") in its own size.
inline ImageDataOptions picture_options(const nlohmann::json& list) {
  ImageDataOptions options;
  options.folder = sd_golden("train_image/images");
  options.images.buckets = true;
  options.captions.clean = false;
  options.keep_duplicates = true;
  ImageConfig& sizes = options.images;
  sizes.bucket_min = sizes.bucket_step = 1 << 20;
  sizes.bucket_max = 0;
  double area = 0;
  for (const nlohmann::json& one : list) {
    const std::int64_t width = one.at("width"), height = one.at("height");
    sizes.bucket_step = sizes.bucket_min = std::min({sizes.bucket_min, width, height});
    sizes.bucket_max = std::max({sizes.bucket_max, width, height});
    area = std::max(area, static_cast<double>(width * height));
  }
  sizes.resolution = static_cast<std::int64_t>(std::ceil(std::sqrt(area)));
  return options;
}

inline std::vector<ImageRecord> read_records(const ImageDataOptions& options) {
  ImageFactsCache facts;
  const ImageScan scan = scan_images(options, facts);
  std::vector<ImageRecord> records;
  for (const ImageRecord* record : scan.used()) records.push_back(*record);
  return records;
}

}  // namespace lora::test
