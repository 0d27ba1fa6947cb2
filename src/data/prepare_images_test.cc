// SPDX-License-Identifier: Apache-2.0
#include "data/prepare_images.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/csv.h"
#include "tests/paths.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

Path fresh_folder(const std::string& name) {
  const Path folder = fs::temp_directory_path() / ("lora_prepare_" + name);
  fs::remove_all(folder);
  return folder;
}

ImageDataOptions awkward() {
  ImageDataOptions options;
  options.folder = Path(LORA_SOURCE_DIR) / "examples/sd/raw_mixed";
  options.images.resolution = 64;
  options.captions.trigger = "starli";
  return options;
}

const ImageRecord& record(const ImageScan& scan, const std::string& begin) {
  for (const ImageRecord& r : scan.records) {
    if (r.file.relative.starts_with(begin)) return r;
  }
  throw Error("no record " + begin);
}

std::map<std::string, fs::file_time_type> times(const Path& folder) {
  std::map<std::string, fs::file_time_type> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) all[entry.path().string()] = entry.last_write_time();
  }
  return all;
}

std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Mean colour of a rectangle given in shares of the picture.
std::array<double, 3> mean(const Image& image, double x0, double y0, double x1, double y1) {
  std::array<double, 3> sum{};
  double count = 0;
  for (int y = static_cast<int>(y0 * image.height); y < y1 * image.height; ++y) {
    for (int x = static_cast<int>(x0 * image.width); x < x1 * image.width; ++x, ++count) {
      for (int c = 0; c < 3; ++c) sum[static_cast<std::size_t>(c)] += image.row(y)[x * 3 + c];
    }
  }
  for (double& s : sum) s /= count;
  return sum;
}

}  // namespace

TEST(PrepareImages, JudgesTheAwkwardFiles) {
  ImageFactsCache cache;
  const ImageScan scan = scan_images(awkward(), cache);
  ASSERT_EQ(scan.records.size(), 12U);
  EXPECT_EQ(scan.used().size(), 10U);
  EXPECT_EQ(record(scan, "11_").verdict, PictureVerdict::too_small);
  EXPECT_EQ(record(scan, "11_").problem,
            "48x48 is smaller than 64; lower the resolution, or enlarge it (`lora prepare images "
            "--upscale`)");
  EXPECT_EQ(record(scan, "12_").verdict, PictureVerdict::broken);
  EXPECT_EQ(
      record(scan, "12_").problem,
      "not a picture that can be read (found a damaged or incomplete JPEG file, expected PNG, "
      "JPEG, WebP, TIFF, AVIF, GIF or BMP); replace or remove it");
  EXPECT_EQ(record(scan, "06_").notes.at(0), "rotated (EXIF)");
  EXPECT_EQ(record(scan, "06_").size, (Size{240, 300}));
  EXPECT_EQ(record(scan, "05_").notes.at(0), "transparency flattened");
  EXPECT_EQ(record(scan, "08_").found.source, "png:parameters");
  EXPECT_EQ(record(scan, "08_").caption,
            "starli, a chibi girl, left side view, jumping, night background");
  EXPECT_EQ(record(scan, "09_").found.source, "09_sidecar.txt");
  EXPECT_EQ(record(scan, "01_").caption, "starli, wide");
}

TEST(PrepareImages, FlattensOnTheChosenColourAndTurnsUpright) {
  ImageDataOptions options = awkward();
  options.background = {255, 0, 0};
  ImageFactsCache cache;
  const ImageScan scan = scan_images(options, cache);
  const Image flat = training_image(record(scan, "05_"), options);
  const auto corner = mean(flat, 0, 0, 0.1, 0.1);
  EXPECT_GT(corner[0], 250);
  EXPECT_LT(corner[1], 5);
  // Upright, the sunset picture has its bright sky above and hair in the middle.
  const Image upright = training_image(record(scan, "06_"), options);
  const Image raw = read_image(options.folder / "06_exif_rot6.jpg").image;
  EXPECT_EQ((Size{raw.width, raw.height}), (Size{240, 300}));
  EXPECT_EQ((Size{upright.width, upright.height}), (Size{64, 64}));
  const Image grey = training_image(record(scan, "07_"), options);
  const auto tone = mean(grey, 0, 0, 1, 1);
  EXPECT_NEAR(tone[0], tone[1], 0.01);
  EXPECT_NEAR(tone[1], tone[2], 0.01);
}

TEST(PrepareImages, SecondRunChangesNothing) {
  const Path out = fresh_folder("twice");
  const PrepareReport first = prepare_images(awkward(), out);
  EXPECT_EQ(first.written, 10U);
  const auto before = times(out);
  const PrepareReport second = prepare_images(awkward(), out);
  EXPECT_EQ(second.written, 0U);
  EXPECT_EQ(second.unchanged, 10U);
  EXPECT_EQ(times(out), before);
  const CsvTable table = read_csv(out / "metadata.csv");
  EXPECT_EQ(table.rows.size(), 10U);
  for (const CsvRow& row : table.rows) {
    const Image image = read_image(out / row.cells[0]).image;
    EXPECT_EQ((Size{image.width, image.height}), (Size{64, 64}));
  }
}

TEST(PrepareImages, DoesOnlyWhatChanged) {
  const Path in = fresh_folder("in"), out = fresh_folder("out");
  fs::copy(awkward().folder, in);
  ImageDataOptions options = awkward();
  options.folder = in;
  prepare_images(options, out);
  fs::remove(out / "03_square_512.png");  // as after a kill
  fs::remove(in / "04_side_256.webp");
  write_file_atomic(in / "09_sidecar.txt", "a new caption");
  const PrepareReport report = prepare_images(options, out);
  EXPECT_EQ(report.written, 1U);
  EXPECT_EQ(report.removed, 1U);
  EXPECT_FALSE(fs::exists(out / "04_side_256.png"));
  EXPECT_NE(read_file(out / "metadata.csv").find("\"starli, a new caption\""), std::string::npos);
}

TEST(PrepareImages, LeavesOutCopiesAndNotesLookalikes) {
  const Path in = fresh_folder("copies");
  fs::create_directories(in / "10_girl");
  const Path picture = awkward().folder / "03_square_512.png";
  fs::copy_file(picture, in / "10_girl/a.png");
  fs::copy_file(picture, in / "10_girl/b.png");
  write_png(in / "10_girl/c.png", resize_lanczos(read_image(picture).image, 300, 300));
  ImageDataOptions options = awkward();
  options.folder = in;
  ImageFactsCache cache;
  const ImageScan scan = scan_images(options, cache);
  EXPECT_EQ(record(scan, "10_girl/b").problem, "the same file as 10_girl/a.png");
  EXPECT_EQ(record(scan, "10_girl/c").notes.at(0), "looks like 10_girl/a.png");
  EXPECT_EQ(record(scan, "10_girl/a").file.repeats, 10);
  EXPECT_EQ(record(scan, "10_girl/a").found.text, "girl");
}

TEST(PrepareImages, NamesWhatIsWrong) {
  const Path empty = fresh_folder("empty");
  fs::create_directories(empty);
  write_file_atomic(empty / "notes.md", "x");
  ImageDataOptions options = awkward();
  options.folder = empty;
  ImageFactsCache cache;
  EXPECT_EQ(message([&] { scan_images(options, cache); }),
            empty.string() +
                ": no pictures (looked for .png .jpg .jpeg .jfif .jpe .webp .tif .tiff .avif .heic "
                ".heif .jxl .gif .bmp in it and below; found 1 .md); check the path");
  options.folder = empty / "nowhere";
  EXPECT_EQ(message([&] { scan_images(options, cache); }),
            (empty / "nowhere").string() + ": no such folder; check the path");
  EXPECT_EQ(message([&] { prepare_images(awkward(), awkward().folder / "out"); }),
            (awkward().folder / "out").string() + ": the output lies in the input (" +
                awkward().folder.string() +
                ") or around it; choose a folder of its own, originals stay untouched");
}

TEST(Captions, CleaningKeepsWordsAndDropsMarks) {
  EXPECT_EQ(apply_rules("(smile:1.2), <lora:x:0.8> girl ,, Smile, \\(cat\\)", {}),
            "smile, girl, (cat)");
  EXPECT_EQ(apply_rules("a  girl\nwalks", {.trigger = "starli", .prefix = "photo of "}),
            "photo of starli, a girl walks");
  EXPECT_EQ(apply_rules("Starli waves", {.trigger = "starli"}), "Starli waves");
}

TEST(Captions, TableNamesFileAndLine) {
  const Path folder = fresh_folder("table");
  const auto read = [&](const std::string& name, const std::string& text) {
    write_file_atomic(folder / name, text);
    return message([&] { CaptionTable::read(folder / name); });
  };
  const std::string csv = (folder / "m.csv").string(), jsonl = (folder / "m.jsonl").string();
  EXPECT_EQ(read("m.csv", "name,text\na.png,x\n"),
            csv +
                ":1: no column for the file name (found name, text; expected file_name, filename, "
                "image, file, path); name the columns in the first line");
  EXPECT_EQ(read("m.csv", "file_name,words\na.png,x\n"),
            csv +
                ":1: no column for the caption (found file_name, words; expected text, caption, "
                "prompt, description); name the columns in the first line");
  EXPECT_EQ(read("m.csv", "file_name,text\na.png,x\na.png,y\n"),
            "m.csv:3: 'a.png' has another caption at m.csv:2; keep one of the two");
  EXPECT_EQ(read("m.jsonl", "{\"file_name\":\"a.png\",\"text\":\"x\"}\n[1]\n"),
            jsonl + ":2: not a JSON object; write one object a line");
  EXPECT_EQ(read("m.jsonl", "{\"file_name\":\"a.png\"}\n"),
            jsonl +
                ":1: no caption (found file_name, expected one of text, caption, prompt, "
                "description); add it");
}

}  // namespace lora
