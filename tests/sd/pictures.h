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
  options.buckets = true;
  options.captions.clean = false;
  options.keep_duplicates = true;
  BucketRule& rule = options.rule;
  rule.min_size = rule.step = 1 << 20;
  rule.max_size = 0;
  double area = 0;
  for (const nlohmann::json& one : list) {
    const int width = one.at("width"), height = one.at("height");
    rule.step = rule.min_size = std::min({rule.min_size, width, height});
    rule.max_size = std::max({rule.max_size, width, height});
    area = std::max(area, static_cast<double>(width) * height);
  }
  rule.resolution = static_cast<int>(std::ceil(std::sqrt(area)));
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
