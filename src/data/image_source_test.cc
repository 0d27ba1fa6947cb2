// SPDX-License-Identifier: Apache-2.0
#include "data/image_source.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"

namespace lora {
namespace {

Config config_of(std::int64_t batch_size, double replay = 0) {
  Config config;
  config.length.batch_size = batch_size;
  config.increment.replay = replay;
  return config;
}

std::vector<ImageEntry> entries(std::size_t count, Size bucket = {64, 64}) {
  std::vector<ImageEntry> list;
  for (std::size_t i = 0; i < count; ++i) list.push_back({"a, b, c", bucket, 1, "hash"});
  return list;
}

std::string text(const std::vector<ImageItem>& items) {
  std::string out;
  for (const ImageItem& item : items) {
    out += join(static_cast<int>(item.role), ":", item.index, item.flipped ? "f" : "", "|",
                item.caption, " ");
  }
  return out;
}

}  // namespace

TEST(ImageSource, ShufflingLeavesTheTriggerInFront) {
  ImageConfig config;
  config.caption_shuffle = true;
  config.trigger_word = "zq";
  std::set<std::string> seen;
  for (std::int64_t i = 0; i < 40; ++i) {
    const std::string caption = augmented_caption("ZQ toy, a, b, c, d", config, 1, i);
    EXPECT_TRUE(caption.starts_with("ZQ toy, ")) << caption;
    seen.insert(caption);
  }
  EXPECT_GT(seen.size(), 5U);
  config.keep_tokens = 3;
  EXPECT_TRUE(augmented_caption("zq, a, b, c, d", config, 1, 2).starts_with("zq, a, b, "));
  config = {};
  config.caption_shuffle = true;
  config.trigger_word = "zq";
  std::size_t moved = 0;  // a caption that does not begin with it is shuffled whole
  for (std::int64_t i = 0; i < 40; ++i) {
    moved += !augmented_caption("a, zq, b, c", config, 1, i).starts_with("a, ");
  }
  EXPECT_GT(moved, 5U);
}

TEST(ImageSource, EveryPictureOnceAnEpochAndHalfReplay) {
  ImageSource source(entries(30), entries(50), {}, config_of(8, 0.5));
  EXPECT_EQ(source.order().batches_of(0), 8);  // 60 of batches of 8
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::map<std::size_t, int> fresh, old;
    for (int b = 0; b < 8; ++b) {
      const auto items = source.next();
      int news = 0;
      for (const ImageItem& item : items) {
        const bool is_new = item.role == ImageRole::fresh;
        news += is_new;
        ++(is_new ? fresh : old)[item.index];
      }
      EXPECT_EQ(news * 2, static_cast<int>(items.size()));
    }
    EXPECT_EQ(fresh.size(), 30U);
    EXPECT_EQ(old.size(), 30U);
  }
}

TEST(ImageSource, BucketsAreNeverMixed) {
  std::vector<ImageEntry> mixed = entries(5);
  for (const ImageEntry& entry : entries(4, {64, 96})) mixed.push_back(entry);
  ImageSource source(mixed, {}, {}, config_of(3));
  EXPECT_EQ(source.order().batches_of(0), 4);
  for (int b = 0; b < 8; ++b) {
    const auto items = source.next();
    for (const ImageItem& item : items) {
      EXPECT_EQ(item.index < 5, items.front().index < 5);
    }
  }
}

TEST(ImageSource, GoesOnExactlyWhereItWasSaved) {
  Config options = config_of(4, 0.3);
  options.images.flip = options.images.caption_shuffle = true;
  options.images.caption_dropout = 0.2;
  options.images.keep_tokens = 1;
  ImageSource source(entries(11), entries(7), entries(3), options);
  for (int stop = 0; stop < 12; ++stop) {
    ImageSource other(entries(11), entries(7), entries(3), options);
    other.order().restore(source.order().state());
    ImageSource copy = source;
    for (int b = 0; b < 9; ++b) EXPECT_EQ(text(other.next()), text(copy.next()));
    source.next();
  }
}

TEST(ImageSource, CaptionAugmentation) {
  ImageConfig keep;
  keep.caption_shuffle = true;
  keep.keep_tokens = 2;
  bool moved = false;
  for (int n = 0; n < 20; ++n) {
    const std::string caption = augmented_caption("a, b, c, d", keep, 42, n);
    EXPECT_TRUE(caption.starts_with("a, b, "));
    moved |= caption == "a, b, d, c";
  }
  EXPECT_TRUE(moved);
  ImageConfig drop;
  drop.caption_dropout = 0.25;
  int dropped = 0;
  for (int n = 0; n < 1000; ++n) {
    dropped += augmented_caption("x", drop, 42, n).empty();
  }
  EXPECT_NEAR(dropped, 250, 60);
}

}  // namespace lora
