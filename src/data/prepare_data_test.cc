// SPDX-License-Identifier: Apache-2.0
// The preparation of real pictures (photographs and drawings of 8 subjects) and texts.
#include <gtest/gtest.h>

#include <set>

#include "data/prepare_images.h"
#include "data/prepare_text.h"
#include "io/csv.h"
#include "tests/paths.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

struct Subject {
  const char* folder;
  const char* caption;
  int pictures;
};
constexpr Subject kSubjects[] = {{"can", "can", 6},
                                 {"cat", "cat", 5},
                                 {"dog", "dog", 5},
                                 {"dog6", "dog6", 5},
                                 {"duck_toy", "duck toy", 4},
                                 {"red_cartoon", "red cartoon", 4},
                                 {"robot_toy", "robot toy", 5},
                                 {"vase", "vase", 6}};

std::map<std::string, fs::file_time_type> times(const Path& folder) {
  std::map<std::string, fs::file_time_type> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) all[entry.path().string()] = entry.last_write_time();
  }
  return all;
}

ImageDataOptions subjects() {
  ImageDataOptions options;
  options.folder = test::data() / "images/dreambooth";
  options.captions.trigger = "sks";
  return options;
}

}  // namespace

TEST(DataPrepare, EightSubjects) {
  const ImageDataOptions options = subjects();
  LORA_SKIP_WITHOUT(options.folder);
  const Path out = fs::temp_directory_path() / "lora_prepare_subjects";
  fs::remove_all(out);
  const PrepareReport first = prepare_images(options, out);
  EXPECT_EQ(first.written, 40U);
  EXPECT_EQ(first.scan.records.size(), 40U);
  std::map<std::string, int> captions;
  for (const CsvRow& row : read_csv(out / "metadata.csv").rows) ++captions[row.cells[1]];
  for (const Subject& subject : kSubjects) {
    EXPECT_EQ(captions[std::string("sks, ") + subject.caption], subject.pictures);
  }
  for (const ImageRecord& record : first.scan.records) {
    EXPECT_EQ(record.found.source, "folder");
    // The cat sits still and the cartoon stands on white: none of them is the same picture twice.
    for (const std::string& note : record.notes) {
      EXPECT_EQ(note, "converted to sRGB") << record.file.relative;
    }
  }
  for (const std::string& name : first.outputs) {
    const Image image = read_image(out / name).image;
    EXPECT_EQ((Size{image.width, image.height}), (Size{512, 512})) << name;
  }
  const auto before = times(out);
  const PrepareReport second = prepare_images(options, out);
  EXPECT_EQ(second.unchanged, 40U);
  EXPECT_EQ(times(out), before);
  fs::remove_all(out);
}

// The same picture smaller, as WebP-like artefacts and cropped by a pixel row is still found.
TEST(DataPrepare, TrueLookalikesAreFound) {
  const Path source = test::data() / "images/dreambooth";
  LORA_SKIP_WITHOUT(source);
  const Path in = fs::temp_directory_path() / "lora_prepare_lookalikes";
  fs::remove_all(in);
  std::set<std::string> expected;
  for (const Subject& subject : kSubjects) {
    const std::string name = subject.folder;
    const Image image = read_image(source / name / "00.jpg").image;
    write_png(in / (name + " a.png"), image);
    write_png(in / (name + " b.png"), resize_lanczos(image, 600, 600));
    write_png(in / (name + " c.png"), crop(image, 2, 2, image.width - 4, image.height - 4));
    expected.insert(name + " b.png");
    expected.insert(name + " c.png");
  }
  ImageDataOptions options;
  options.folder = in;
  ImageFactsCache cache;
  const ImageScan scan = scan_images(options, cache);
  for (const ImageRecord& record : scan.records) {
    const bool found = !record.notes.empty() && record.notes.back().starts_with("looks like");
    EXPECT_EQ(found, expected.contains(record.file.relative)) << record.file.relative;
  }
  fs::remove_all(in);
}

// 999 alpaca records of which 14 are there twice (counted with another program).
TEST(DataPrepare, RealTexts) {
  PrepareTextOptions options;
  options.input = test::data() / "text/alpaca_en_demo.json";
  LORA_SKIP_WITHOUT(options.input);
  options.validation_split = 0.1;
  const PreparedText prepared = prepare_text(options);
  std::map<std::string, int> verdicts;
  for (const TextNote& note : prepared.notes) ++verdicts[note.verdict];
  EXPECT_EQ(prepared.read, 999U);
  EXPECT_EQ(verdicts["duplicate"], 14);
  EXPECT_EQ(verdicts["near-duplicate"], 0);
  EXPECT_EQ(prepared.train.records.size() + prepared.validation.records.size() + prepared.left_out,
            prepared.read);
  const Path out = fs::temp_directory_path() / "lora_prepare_real_texts";
  fs::remove_all(out);
  EXPECT_EQ(write_prepared_text(prepared, out), 3U);
  EXPECT_EQ(write_prepared_text(prepare_text(options), out), 0U);
  fs::remove_all(out);
}

}  // namespace lora
