// SPDX-License-Identifier: Apache-2.0
#include "data/replay.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "base/error.h"
#include "data/data_manifest.h"
#include "data/held_out.h"

namespace lora {
namespace {

using testing::ElementsAre;

class Replay : public testing::Test {
 protected:
  Replay() : folder_(Path(testing::TempDir()) / join("replay-", getpid())) {
    std::filesystem::remove_all(folder_);
  }
  ~Replay() override { std::filesystem::remove_all(folder_); }

  Path write(const std::string& name, const std::string& content) const {
    write_file_atomic(folder_ / name, content);
    return folder_ / name;
  }
  // A picture of one colour but for a corner, so that no two look alike.
  void draw(const std::string& name, int shade) const {
    Image image{64, 64, std::vector<std::uint8_t>(64 * 64 * 3, 255)};
    for (int i = 0; i < 3 * 64 * (8 + shade); ++i) {
      image.rgb[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(20 * shade);
    }
    write_png(folder_ / name, image);
  }
  std::vector<ImageRecord> scan(const Path& folder) const {
    ImageDataOptions options = options_;
    options.folder = folder;
    ImageFactsCache cache;
    return scan_images(options, cache).records;
  }
  template <typename Call>
  std::string error_of(Call call) const {
    try {
      call();
    } catch (const Error& error) {
      return without_folder(error.what());
    }
    return "no error";
  }
  std::string without_folder(std::string text) const {
    for (std::size_t at; (at = text.find(folder_.string())) != std::string::npos;) {
      text.replace(at, folder_.string().size(), "DIR");
    }
    return text;
  }
  std::vector<std::string> without_folder(std::vector<std::string> texts) const {
    for (std::string& text : texts) text = without_folder(text);
    return texts;
  }

  Path folder_;
  ImageDataOptions options_ = [] {
    ImageDataOptions options;
    options.images.resolution = 64;
    return options;
  }();
};

std::string line(const std::string& prompt, const std::string& answer) {
  return "{\"prompt\": \"" + prompt + "\", \"completion\": \"" + answer + "\"}\n";
}

std::vector<std::string> answers(const ReplayTexts& replay) {
  std::vector<std::string> out;
  for (const TextRecord& record : replay.dataset.records) {
    out.push_back(record.messages.back().content);
  }
  return out;
}

// Rows of all records, without tokenizing them.
std::vector<ManifestRow> rows_of(const Path& file, const std::string& role) {
  std::vector<ManifestRow> rows;
  for (const TextRecord& record : load_text_dataset(file).records) {
    rows.push_back({.role = role,
                    .sha256 = record.sha256,
                    .size = "1",
                    .path = record.at.file.string(),
                    .row = record.at.row});
  }
  return rows;
}

TEST_F(Replay, FindsTextsAgain) {
  const Path a = write("a.jsonl", line("a", "1") + line("b", "2") + line("c", "3"));
  const Path b = write("b.jsonl", line("d", "4") + line("d", "4"));
  std::vector<ManifestRow> rows = rows_of(a, "new");
  rows[2].role = "validation";
  for (const char* role : {"new", "replay"}) {  // the same samples in both roles count once
    for (const ManifestRow& row : rows_of(b, role)) rows.push_back(row);
  }
  const Path manifest = write("data_manifest.tsv", manifest_text(rows));
  ASSERT_EQ(read_manifest(manifest).size(), 7U);
  EXPECT_EQ(read_manifest(manifest)[1].row, 2);

  const ReplayTexts whole = replay_texts(manifest, "auto", {});
  EXPECT_THAT(answers(whole), ElementsAre("1", "2", "4", "4"));
  EXPECT_TRUE(whole.problems.empty());

  write("a.jsonl", line("b", "2") + line("a", "9"));  // one moved, one changed
  write("b.jsonl", line("d", "4"));
  const ReplayTexts part = replay_texts(manifest, "auto", {});
  EXPECT_THAT(answers(part), ElementsAre("2", "4"));
  EXPECT_THAT(without_folder(part.problems),
              ElementsAre("DIR/a.jsonl:1: changed or removed since the parent was trained",
                          "DIR/b.jsonl:2: changed or removed since the parent was trained"));

  write("a.jsonl", "{\n");
  std::filesystem::remove(b);
  EXPECT_EQ(error_of([&] { replay_texts(manifest, "auto", {}); }),
            "DIR/data_manifest.tsv: replay: none of the 4 samples that the parent was trained on "
            "can be found again (DIR/a.jsonl:1: not valid JSON; check quotes, commas and brackets "
            "there); put the files back or set replay: 0");
  std::filesystem::remove(a);
  EXPECT_EQ(error_of([&] { replay_texts(manifest, "auto", {}); }),
            "DIR/data_manifest.tsv: replay: none of the 4 samples that the parent was trained on "
            "can be found again (DIR/a.jsonl: missing (2 samples)); put the files back or set "
            "replay: 0");
  write("data_manifest.tsv", "hello\n");
  EXPECT_EQ(error_of([&] { read_manifest(manifest); }),
            "DIR/data_manifest.tsv:1: not a data manifest (found 'hello', expected the columns of "
            "one)");
}

TEST_F(Replay, FindsPicturesAgain) {
  for (int i = 0; i < 4; ++i) draw(join("own/", i, ".png"), i);
  draw("older/9.png", 9);
  write("own/metadata.csv", "file_name,text\n0.png,zero\n1.png,one\n2.png,two\n3.png,three\n");
  std::vector<ImageRecord> own = scan(folder_ / "own");
  const std::vector<ImageRecord> held = take_validation(own, 0.25, 42);
  ASSERT_EQ(held.size(), 1U);
  ASSERT_EQ(held[0].caption, "zero");
  std::vector<ManifestRow> rows = manifest_rows(own, "new");
  for (const ManifestRow& row : manifest_rows(scan(folder_ / "older"), "replay")) {
    rows.push_back(row);
  }
  for (const ManifestRow& row : manifest_rows(held, "validation")) rows.push_back(row);
  const Path manifest = write("v1/data_manifest.tsv", manifest_text(rows));
  const auto replay = [&] { return replay_pictures(manifest, options_, folder_ / "own/", {}); };
  const auto captions = [](const ReplayPictures& found) {
    std::vector<std::string> out;
    for (const ImageRecord& record : found.records) out.push_back(record.caption);
    return out;
  };
  EXPECT_THAT(captions(replay()), ElementsAre("older", "one", "two", "three"));
  EXPECT_TRUE(replay().problems.empty());

  // Renamed, changed, gone; and a caption that was changed counts as it is today.
  std::filesystem::rename(folder_ / "own/2.png", folder_ / "own/zz.png");
  write("own/metadata.csv", "file_name,text\n0.png,zero\n1.png,one\n3.png,three\nzz.png,second\n");
  draw("own/1.png", 5);
  std::filesystem::remove_all(folder_ / "older");
  EXPECT_THAT(captions(replay()), ElementsAre("three", "second"));
  EXPECT_THAT(without_folder(replay().problems),
              ElementsAre("DIR/older: missing (1 samples)",
                          "DIR/own/1.png: changed or removed since the parent was trained"));

  options_.images.resolution = 128;
  EXPECT_EQ(error_of(replay),
            "DIR/v1/data_manifest.tsv: replay: none of the 4 samples that the parent was trained "
            "on can be found again (DIR/older: missing (1 samples)); put the files back or set "
            "replay: 0");
  options_.upscale = true;
  EXPECT_THAT(captions(replay()), ElementsAre("three", "second"));
}

TEST(HeldOut, AtLeastOneAndNeverAll) {
  const auto kept = [](std::size_t count, double share) {
    const std::vector<bool> all = held_out(count, share, 42);
    return std::count(all.begin(), all.end(), true);
  };
  EXPECT_EQ(kept(2, 0.01), 1);
  EXPECT_EQ(kept(2, 0.9), 1);
  EXPECT_EQ(kept(30, 0.1), 3);
  EXPECT_EQ(kept(35, 0.1), 4);
  EXPECT_EQ(held_out(30, 0.1, 42), held_out(30, 0.1, 42));
  EXPECT_NE(held_out(30, 0.1, 42), held_out(30, 0.1, 43));
  EXPECT_EQ(probe_samples<int>({}, {1, 2, 3, 4, 5}), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(probe_samples<int>({7}, {1, 2, 3, 4, 5}), (std::vector<int>{7}));
}

// Pictures that stay keep their order; a folder of one picture is refused.
TEST(HeldOut, PicturesAreNotShuffled) {
  std::vector<ImageRecord> records(10);
  for (std::size_t i = 0; i < records.size(); ++i) records[i].caption = std::to_string(i);
  const std::vector<ImageRecord> held = take_validation(records, 0.2, 42);
  EXPECT_EQ(held.size(), 2U);
  const auto by_caption = [](const ImageRecord& a, const ImageRecord& b) {
    return a.caption < b.caption;
  };
  EXPECT_TRUE(std::is_sorted(held.begin(), held.end(), by_caption));
  EXPECT_TRUE(std::is_sorted(records.begin(), records.end(), by_caption));
  records.resize(1);
  try {
    take_validation(records, 0.2, 42);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "validation_split: too few samples to keep some apart (found 1, expected at least "
                 "2); set it to 0, or name a file or folder in validation_data");
  }
}

}  // namespace
}  // namespace lora
