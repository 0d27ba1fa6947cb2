// SPDX-License-Identifier: Apache-2.0
#include "data/buckets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tests/paths.h"

namespace lora {
namespace {

using Json = nlohmann::json;

Path folder() { return test::golden() / "sd/preprocess"; }
Json expected() { return Json::parse(read_file(folder() / "expected.json")); }

BucketRule rule_of(const Json& json) {
  return {.resolution = json["resolution"][0],
          .min_size = json["min_size"],
          .max_size = json["max_size"],
          .step = json["step"],
          .no_upscale = json["no_upscale"]};
}

Size size_of(const Json& json) { return {json[0], json[1]}; }

int largest_difference(const Image& a, const Path& path) {
  const Image b = read_image(path).image;
  EXPECT_EQ(a.width, b.width) << path;
  EXPECT_EQ(a.height, b.height) << path;
  int worst = 0;
  for (std::size_t i = 0; i < std::min(a.rgb.size(), b.rgb.size()); ++i) {
    worst = std::max(worst, std::abs(a.rgb[i] - b.rgb[i]));
  }
  return worst;
}

// Compares the chosen sizes, and the pixels where the fixture has them.
void check_choice(const Json& picture, const Image& image, const std::string& name,
                  const BucketRule& rule, const Json& choice) {
  SCOPED_TRACE(picture["file"].get<std::string>() + " " + name);
  const Size size{picture["width"], picture["height"]};
  if (choice.contains("error")) {
    EXPECT_THROW(fit_bucket(rule, size), Error);
    return;
  }
  const Fit fit = fit_bucket(rule, size);
  EXPECT_EQ(fit.bucket, size_of(choice["bucket"]));
  EXPECT_EQ(fit.resized, size_of(choice["resized"]));
  EXPECT_EQ(fit.left, choice["crop_left"].get<int>());
  EXPECT_EQ(fit.top, choice["crop_top"].get<int>());
  const auto compare = [&](const char* key, const Image& ours, int tolerance) {
    if (!choice.contains(key)) return;
    const Path path = folder() / "pixels" / choice[key].get<std::string>();
    if (!std::filesystem::exists(path)) return;
    EXPECT_LE(largest_difference(ours, path), tolerance) << key;
  };
  const int w = fit.resized.width, h = fit.resized.height;
  compare("pixels", apply_fit(image, fit), 1);
  compare("lanczos_full", resize_lanczos(image, w, h), 0);
  compare("area_full", resize_area(image, w, h), 1);
}

}  // namespace

TEST(GoldenBuckets, ListsEqualKohya) {
  const Json rules = expected()["rules"];
  for (const auto& [name, json] : rules.items()) {
    if (json["buckets"].empty()) continue;
    std::vector<Size> wanted;
    for (const Json& size : json["buckets"]) wanted.push_back(size_of(size));
    EXPECT_EQ(make_buckets(rule_of(json)), wanted) << name;
  }
}

TEST(GoldenBuckets, SizesAndPixelsEqualTheReference) {
  const Json all = expected();
  for (const Json& picture : all["images"]) {
    const Path path = folder() / "images" / picture["file"].get<std::string>();
    const Image image = read_image(path, {.drop_alpha = true}).image;
    for (const auto& [name, choice] : picture["choice"].items()) {
      check_choice(picture, image, name, rule_of(all["rules"][name]), choice);
    }
    const Json& square = picture["short_side_64"];
    const Fit fit = fit_square(64, {image.width, image.height});
    EXPECT_EQ(fit.resized, size_of(square["resized"])) << path;
    EXPECT_EQ(fit.left, square["crop_left"].get<int>()) << path;
    EXPECT_EQ(fit.top, square["crop_top"].get<int>()) << path;
    const Path pixels = folder() / "pixels" / square["pixels"].get<std::string>();
    if (std::filesystem::exists(pixels)) {
      EXPECT_LE(largest_difference(apply_fit(image, fit, true), pixels), 1) << pixels;
    }
  }
}

TEST(Image, PngRoundTripKeepsPixelsAndText) {
  Image image{3, 2, std::vector<std::uint8_t>(18)};
  for (std::size_t i = 0; i < 18; ++i) image.rgb[i] = static_cast<std::uint8_t>(i * 13);
  const Path path = std::filesystem::temp_directory_path() / "lora_image_test.png";
  write_png(path, image, {{"parameters", "a cat\nSteps: 20"}});
  const DecodedImage back = read_image(path);
  EXPECT_EQ(back.image.rgb, image.rgb);
  EXPECT_EQ(back.text.at("parameters"), "a cat\nSteps: 20");
  std::filesystem::remove(path);
}

}  // namespace lora
