// SPDX-License-Identifier: Apache-2.0
#include "data/epoch_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/image_source.h"
#include "data/text_source.h"

namespace lora {
namespace {

// Sample i: 2 + i % 7 tokens, all equal to `first` + i.
std::vector<TextSample> texts(std::int64_t count, std::int64_t first) {
  std::vector<TextSample> out;
  for (std::int64_t i = 0; i < count; ++i) {
    TextSample sample;
    sample.ids.assign(static_cast<std::size_t>(2 + i % 7), first + i);
    sample.labels = sample.ids;
    out.push_back(sample);
  }
  return out;
}

// Samples of the batch: those of a row joined by '+', rows by ' '.
std::string text_of(const TextBatch& batch) {
  std::string out;
  for (std::size_t i = 0; i < batch.ids.size(); ++i) {
    if (batch.documents[i] == 0 || batch.positions[i] != 0) continue;
    const char* between = out.empty() ? "" : batch.documents[i] == 1 ? " " : "+";
    out += join(between, batch.ids[i]);
  }
  return out;
}

// `mixed`: every third of another size, every fifth twice.
std::vector<ImageEntry> pictures(std::size_t count, bool mixed) {
  std::vector<ImageEntry> list;
  for (std::size_t i = 0; i < count; ++i) {
    const Size size = mixed && i % 3 == 0 ? Size{64, 96} : Size{64, 64};
    list.push_back({"a, b, c, d", size, mixed && i % 5 == 0 ? 2 : 1, join("hash ", i)});
  }
  return list;
}

// "o": old; "p": class picture; "f": flipped; in brackets: a caption that is not "a, b, c, d".
std::string text_of(const std::vector<ImageItem>& items) {
  std::string out;
  for (const ImageItem& item : items) {
    const char* role = item.role == ImageRole::fresh ? "" : item.role == ImageRole::old ? "o" : "p";
    out += join(out.empty() ? "" : " ", role, item.index, item.flipped ? "f" : "");
    if (item.role == ImageRole::prior || item.caption == "a, b, c, d") continue;
    std::string letters = item.caption;
    std::erase_if(letters, [](char c) { return c < 'a'; });
    out += "(" + letters + ")";
  }
  return out;
}

// The first batches, until `count` samples have been seen; '/' between them.
template <typename Source>
std::string first_samples(Source source, std::int64_t count) {
  std::string out = text_of(source.next());
  const auto between = [](char c) { return c == ' ' || c == '/' || c == '+'; };
  while (1 + std::ranges::count_if(out, between) < count) out += "/" + text_of(source.next());
  return out;
}

Config config_of(std::int64_t batch_size, std::int64_t seed, double replay = 0) {
  Config config;
  config.length.batch_size = batch_size;
  config.seed = seed;
  config.increment.replay = replay;
  return config;
}

// What lora 0.1.0 handed out, taken from its two sources before they shared an order.
TEST(EpochOrder, TextsComeAsIn010) {
  Config shuffled = config_of(4, 7);
  shuffled.text.length_bucketing = false;
  EXPECT_EQ(first_samples(TextSource(texts(45, 0), {}, shuffled, 0), 100),
            "5 13 36 14/6 42 12 17/43 26 37 20/33 29 27 44/40 1 39 25/21 28 22 2/8 0 3 4/9 38 16 "
            "30/31 32 24 34/15 41 35 19/23 18 7 10/11/7 39 2 35/21 19 31 30/0 23 43 4/33 36 29 "
            "28/3 26 6 9/8 34 24 42/1 44 37 38/41 5 18 40/16 20 13 10/14 17 32 27/25 11 12 15/22/"
            "27 28 42 25/36 18 44 17/4 20 43 7");
  EXPECT_EQ(first_samples(TextSource(texts(37, 0), texts(15, 500), config_of(2, 8, 0.4), 0), 100),
            "509 2/512 505/15 22/7 514/28 21/511 25/507 500/0 507/510 4/3 10/506 27/503 31/12 33/"
            "505 34/504 26/18 11/16 30/32 504/8 509/14 514/502 9/23 17/503 511/508 508/501 29/36 "
            "1/502 24/513 13/19 5/500 35/6 20/4 511/13 506/29 9/16 509/36 8/5 19/26 505/512 34/7 "
            "501/0 28/511 33/3 503/1 509/15 508/510 17/502 23/504 25/503 24/35 14");
  Config packed = config_of(3, 9, 0.4);
  packed.data.repeats = 2;
  packed.text.packing = true;
  packed.text.max_seq_length = 16;
  EXPECT_EQ(first_samples(TextSource(texts(17, 0), texts(9, 500), packed, 0), 100),
            "508+501+14+507+7+507+500 5+505+0 4+504+16/10+16+9+8 505+504+15 11+11+2/5+12+507 "
            "1+501+1+8+15 503+503+10/6+13 506+13 506+6/504+4+2 9+502+502+508 506+12/503+3+3 "
            "7+14+500+0+500/14+0+0+7 6+6 506+505/503+503+10 506+506 501+15+8+508+501/11+4+16 "
            "3+503+502+507 5+504+15/502+502+8+1+7 11+3+10 9+2+9+2/5+12+500 1+508+501+507+500+500 "
            "505+12+14");
  Config given = config_of(4, 42, 0.25);
  given.data.shuffle = false;
  EXPECT_EQ(first_samples(TextSource(texts(30, 0), texts(7, 500), given, 0), 100),
            "0 503 1 2/3 500 4 5/6 505 7 8/9 506 10 11/12 504 13 14/15 501 16 17/18 502 19 20/21 "
            "503 22 23/24 500 25 26/27 506 28 29/0 502 1 2/3 500 4 5/6 501 7 8/9 504 10 11/12 "
            "505 13 14/15 503 16 17/18 506 19 20/21 503 22 23/24 504 25 26/27 500 28 29/0 506 1 "
            "2/3 504 4 5/6 501 7 8/9 502 10 11/12 505 13 14");
}

TEST(EpochOrder, PicturesComeAsIn010) {
  EXPECT_EQ(first_samples(ImageSource(pictures(45, false), {}, {}, config_of(4, 7)), 100),
            "14 35 26 12/5 8 40 36/22 7 15 18/29 3 44 31/2 34 1 38/28 21 23 20/33 9 37 16/43 6 "
            "11 0/30 17 10 4/19 25 42 32/24 39 27 13/41/39 13 28 19/37 4 7 11/25 2 6 3/40 23 31 "
            "14/34 12 42 10/41 27 33 36/30 18 44 16/29 9 5 1/24 35 22 20/17 8 38 21/0 43 32 26/"
            "15/22 2 11 30/16 10 32 24/1 18 34 23");
  Config mixed = config_of(3, 8, 0.4);
  mixed.data.repeats = 2;
  EXPECT_EQ(first_samples(ImageSource(pictures(13, true), pictures(9, true), {}, mixed), 100),
            "5 o1 o2/1 4 11/o5 7 8/7 o4 10/2 o8 5/0 12 o3/o2 11 o1/2/o6 6 o3/3 9 0/o5 5 10/4 o4 "
            "8/o3 6 o0/10 o8 o7/12 0 9/o6 3 o0/0/10 o7 1/o1 5 o8/10 5 o2/5 4 o2/o7 o4 2/o0 0 o6/"
            "8 10 o2/o0 3 3/2 o1 o8/o3 o6 6/10 1 o7/o4 8 10/5 o5 7/6 o6 o3/12 9 9/o1 1 7/0/0 12 "
            "0/o5 11 o8");
  Config captions = config_of(2, 9);
  captions.images.flip = captions.images.caption_shuffle = true;
  captions.images.caption_dropout = 0.1;
  captions.images.keep_tokens = 1;
  EXPECT_EQ(first_samples(ImageSource(pictures(11, true), {}, pictures(3, false), captions), 100),
            "1(adcb) p0f/4f(adbc) 7f(abdc) p2 p0f/2(adbc) 10f(acbd) p1f p2/8(adbc) 5f(abdc) p0f "
            "p1f/0f 9f(adcb) p2f p0f/6f(abdc) 3(adcb) p1f p2/10(abdc) 5() p0 p1f/0f(abdc) p2f/"
            "6(adbc) 0f(adcb) p1f p2f/10f(acbd) 5(acbd) p0f p1/1f(adbc) 10f(abdc) p2 p0f/8f "
            "7f(adcb) p1f p2/5f(acdb) p0f/2f(acdb) 4(adbc) p2 p0f/0(acdb) p1f/9(adbc) 3f(acbd) "
            "p0f p1f/4f() 8 p2 p0f/3(acbd) p1/1f(adcb) 2(adcb) p0 p1/5(acbd) 10(abdc) p2f p0f/"
            "6(adbc) 9f(adcb) p1f p2f/5(adcb) 7 p0 p1/10(acdb) p2/0() 0f(adcb) p1 p2f/10(acdb) 7 "
            "p0 p1/0f 0(acbd) p2f p0f/8f(adcb) 1f() p1 p2/6(acdb) 3f(acbd) p0 p1f");
  Config given = config_of(4, 42, 0.25);
  given.data.shuffle = false;
  EXPECT_EQ(first_samples(ImageSource(pictures(30, false), pictures(7, false), {}, given), 100),
            "0 o4 1 2/3 o6 4 5/6 o3 7 8/9 o2 10 11/12 o5 13 14/15 o0 16 17/18 o1 19 20/21 o5 22 "
            "23/24 o3 25 26/27 o1 28 29/0 o3 1 2/3 o6 4 5/6 o0 7 8/9 o4 10 11/12 o5 13 14/15 o2 "
            "16 17/18 o1 19 20/21 o3 22 23/24 o1 25 26/27 o0 28 29/0 o3 1 2/3 o6 4 5/6 o0 7 8/9 "
            "o2 10 11/12 o4 13 14");
}

// `wanted`: batches of each epoch. Asked from the last one on, and walked through.
template <typename Source>
void expect_counts(const Source& made, const std::vector<std::int64_t>& wanted) {
  Source counting = made, running = made;
  for (std::size_t e = wanted.size(); e-- > 0;) {
    EXPECT_EQ(counting.order().batches_of(static_cast<std::int64_t>(e)), wanted[e]) << e;
  }
  std::int64_t number = 0;
  for (std::size_t e = 0; e < wanted.size(); ++e) {
    for (std::int64_t b = 0; b < wanted[e]; ++b) {
      EXPECT_LT(running.order().epoch(), static_cast<double>(e) + 1);
      running.next();
      EXPECT_EQ(running.order().number(), number++);
    }
    EXPECT_EQ(running.order().epoch(), static_cast<double>(e) + 1);
  }
}

// Packed rows, and batches of one size of picture: how many there are hangs on which old samples
// are drawn.
TEST(EpochOrder, CountsTheBatchesOfEveryEpoch) {
  Config packed = config_of(1, 5, 0.4);
  packed.text.packing = true;
  packed.text.max_seq_length = 16;
  expect_counts(TextSource(texts(23, 0), texts(40, 500), packed, 0), {12, 12, 12, 12, 11});
  expect_counts(ImageSource(pictures(13, true), pictures(30, true), {}, config_of(3, 5, 0.4)),
                {10, 10, 9, 10, 9});
}

// Three processes together see the one order, and stand at the same place.
TEST(EpochOrder, ProcessesShareOneOrder) {
  TextSource all(texts(45, 0), texts(20, 500), config_of(4, 7, 0.4), 0);
  std::vector<TextSource> three(3, all);
  EXPECT_EQ(all.order().batches_of(0), 19);
  for (std::size_t rank = 0; rank < 3; ++rank) {
    three[rank].order().shard(static_cast<std::int64_t>(rank), 3);
    EXPECT_EQ(three[rank].order().batches_of(0), 7);
  }
  for (int step = 0; step < 14; ++step) {
    for (TextSource& source : three) {
      const TextBatch batch = source.next();
      if (step % 7 == 6 && &source != three.data()) {  // the epoch has no batch left for it
        EXPECT_EQ(batch.rows, 0);
        EXPECT_EQ(source.describe_last(), "");
        continue;
      }
      EXPECT_EQ(batch.ids, all.next().ids) << step;
      EXPECT_EQ(source.order().number(), all.order().number());
    }
    for (TextSource& source : three) {
      EXPECT_EQ(source.order().state(), all.order().state());
      EXPECT_EQ(source.order().epoch(), all.order().epoch());
    }
  }
}

TEST(EpochOrder, RefusesWhatItCannotGoOnFrom) {
  const auto message = [](auto call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const std::string foreign =
      "checkpoint: it belongs to other training data or other data settings; resume with the files "
      "and the configuration of the interrupted run";
  const std::vector<ImageEntry> five = pictures(5, false);
  std::vector<ImageEntry> changed = five;
  changed[4].sha256 = "another";
  ImageSource source(five, {}, {}, config_of(2, 7)), other(changed, {}, {}, config_of(2, 7));
  ImageSource seed(five, {}, {}, config_of(2, 8));
  EXPECT_EQ(message([&] { source.order().restore(other.order().state()); }), foreign);
  EXPECT_EQ(message([&] { source.order().restore(seed.order().state()); }), foreign);
  nlohmann::json state = source.order().state();
  state["batch"] = 4;
  EXPECT_EQ(message([&] { source.order().restore(state); }),
            "checkpoint: its position in the data is impossible (epoch 0, batch 4)");
  EXPECT_EQ(message([&] { ImageSource({}, {}, {}, config_of(2, 7)); }),
            "train_data_dir: no samples to train on");
  EXPECT_EQ(message([&] { ImageSource(five, {}, {}, config_of(1, 7, 0.5)); }),
            "replay: there are no old samples to draw from; put the parent's data back, or set "
            "replay: 0");
}

}  // namespace
}  // namespace lora
