// SPDX-License-Identifier: Apache-2.0
#include "data/data_stats.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/error.h"
#include "tokenizers/fake_tokenizer.h"

namespace lora {
namespace {

using testing::HasSubstr;

TextDataset letters() {
  TextDataset data;
  for (int i = 0; i < 4; ++i) {
    TextRecord record;
    record.messages = {{"user", i == 0 ? "[INST] The lamp 12?" : "The lamp?"},
                       {"assistant", "It shines, it shines."}};
    record.at.file = "a.jsonl";
    record.at.row = i + 1;
    record.sha256 = std::to_string(i);
    data.records.push_back(record);
  }
  return data;
}

ImageRecord picture(const std::string& caption, std::uint64_t hash, std::uint8_t grey) {
  ImageRecord record;
  record.caption = caption;
  record.mark.hash = hash;
  record.mark.mosaic.fill(grey);
  record.look.brightness = 0.25;
  record.size = {64, 64};
  record.file.path = "pictures/" + caption + ".png";
  return record;
}

TEST(DataStats, OfTexts) {
  const PromptTemplate prompt("llama2", std::make_shared<test::FakeTokenizer>());
  const TextDataset data = letters();
  const TextSamples samples = tokenize_dataset(data, prompt, {});
  const DataStats stats = text_stats({{data, samples}}, prompt);
  EXPECT_EQ(stats.samples, 4);
  EXPECT_EQ(stats.share("marker [INST]"), 0.25);
  EXPECT_EQ(stats.share("ends"), 1);
  EXPECT_EQ(stats.share("begins"), 1);
  EXPECT_EQ(stats.share("begins_twice"), 0);
  EXPECT_EQ(stats.share("cut"), 0);
  EXPECT_EQ(stats.template_markers, std::vector<std::string>{"[INST]"});
  EXPECT_EQ(stats.terms.samples.at("shines"), 4);
  EXPECT_EQ(stats.terms.samples.at("inst"), 1);
  EXPECT_EQ(stats.terms.samples.count("12"), 0u);
  EXPECT_EQ(stats.measures.at("answer_tokens").size(), 4u);
}

TEST(DataStats, OfTextsThatAreCut) {
  const PromptTemplate prompt("plain", std::make_shared<test::FakeTokenizer>());
  const TextDataset data = letters();
  const TextSamples samples = tokenize_dataset(data, prompt, {.max_seq_length = 24});
  const DataStats stats = text_stats({{data, samples}}, prompt);
  EXPECT_EQ(stats.share("cut"), 1);
  EXPECT_EQ(stats.share("answer_cut"), 1);
  EXPECT_EQ(stats.share("ends"), 0);
  EXPECT_EQ(stats.longest, 1 + 20 + 21 + 1);  // the first record
  EXPECT_TRUE(stats.template_markers.empty());
}

TEST(DataStats, OfPictures) {
  const DataStats stats = picture_stats(
      {picture("starli, a girl, front view", 1, 0), picture("starli, a girl, side_view", 2, 0),
       picture("starli, standing before a very high wall", 3, 0)},
      "");
  EXPECT_EQ(stats.trigger, "starli");
  EXPECT_NEAR(*stats.share("trigger"), 1, 1e-12);
  EXPECT_NEAR(*stats.share("tags"), 2.0 / 3, 1e-12);
  EXPECT_NEAR(*stats.share("underscores"), 1.0 / 3, 1e-12);
  EXPECT_EQ(stats.terms.samples.at("a girl"), 2);
  EXPECT_EQ(stats.terms.samples.at("wall"), 1);
  EXPECT_EQ(stats.marks.size(), 3u);
  const DataStats named = picture_stats({picture("a girl", 1, 0)}, "Starli");
  EXPECT_EQ(named.trigger, "starli");
  EXPECT_EQ(named.share("trigger"), 0);
}

TEST(DataStats, AreReadAsWritten) {
  DataStats stats = picture_stats(
      {picture("starli, a", 0xc3c3e7ff00183c7e, 160), picture("starli, b", 7, 3)}, "");
  stats.settings = {{"resolution", 64}};
  stats.too_small = 3;
  stats.longest = 9;
  const std::string text = stats_json(stats);
  const DataStats read = parse_stats(text, "x");
  EXPECT_EQ(stats_json(read), text);
  EXPECT_EQ(read.marks, stats.marks);
  EXPECT_EQ(read.measures.at("brightness"), (std::vector<double>{0.25, 0.25}));
  EXPECT_EQ(read.terms.samples, stats.terms.samples);
  for (const std::string& broken :
       {std::string("{}"), text.substr(0, text.size() / 2), std::string("[1]")}) {
    EXPECT_THROW(parse_stats(broken, "v1/data_stats.json"), Error);
  }
  EXPECT_FALSE(read_stats("/no/such/folder"));
}

PictureMark mark(std::uint64_t hash, std::uint8_t grey) { return picture("", hash, grey).mark; }

TEST(Overlap, OfPictures) {
  const std::vector<ImageRecord> pictures = {picture("a", 0b1111, 100), picture("b", ~0ULL, 100),
                                             picture("c", 0b1111, 200)};
  const Overlap overlap = overlap_of(pictures, {mark(0, 108), mark(1, 0)});
  EXPECT_EQ(overlap.found, 1u);
  EXPECT_EQ(overlap.of, 3u);
  EXPECT_EQ(overlap.first, "pictures/a.png");
  // Every way in which four bits can differ is found through one of the bands.
  for (int shift = 0; shift + 4 <= 64; ++shift) {
    EXPECT_EQ(overlap_of(pictures, {mark(~0ULL ^ (0xfULL << shift), 100)}).found, 1u);
  }
  EXPECT_EQ(overlap_of(pictures, std::vector<PictureMark>{mark(~0x1fULL, 100)}).found, 0u);
}

TEST(Overlap, OfTexts) {
  const TextDataset data = letters();
  std::vector<const TextRecord*> all;
  for (const TextRecord& record : data.records) all.push_back(&record);
  TextRecord spelled = data.records[1];
  spelled.messages[0].content = "the  LAMP?";
  const Overlap near = overlap_of(all, {&spelled});
  EXPECT_EQ(near.found, 1u);
  EXPECT_EQ(near.first, "a.jsonl:2");
  const Overlap exact = overlap_of(all, std::set<std::string>{"2", "9"});
  EXPECT_EQ(exact.found, 1u);
  EXPECT_EQ(exact.of, 4u);
  EXPECT_EQ(exact.first, "a.jsonl:3");
}

}  // namespace
}  // namespace lora
