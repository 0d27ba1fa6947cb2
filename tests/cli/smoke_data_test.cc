// SPDX-License-Identifier: Apache-2.0
// Every format and ending of texts and every kind of picture file.
#include <vips/vips8>

#include "data/text_dataset.h"
#include "io/image.h"
#include "tests/cli/smoke.h"

namespace lora::test {
namespace {

// What `lora prepare text` makes of a file.
struct TextRow {
  std::string file, content, format;
  Json first;  // record of train.jsonl
  int records = 1;
};

Json messages(const std::string& question, const std::string& answer) {
  return {{"messages",
           {{{"role", "user"}, {"content", question}},
            {{"role", "assistant"}, {"content", answer}}}}};
}

const std::vector<TextRow>& texts() {
  static const Json pair = messages("two?", "2");
  static const std::vector<TextRow> rows = {
      {"alpaca.json", R"([{"instruction": "two?", "output": "2"}, {"instruction": "what is the )"
                      R"(sum of one and six?", "output": "it is seven"}])",
       "alpaca", pair, 2},
      {"sharegpt.jsonl", R"({"conversations": [{"from": "human", "value": "two?"}, )"
                         R"({"from": "gpt", "value": "2"}]})",
       "sharegpt", pair},
      {"messages.ndjson", pair.dump(), "messages", pair},
      {"pairs.csv", "prompt,completion\ntwo?,2\n", "prompt_completion", pair},
      {"tokens.jsonl", R"({"input_ids": [3, 1, 4]})", "tokens",
       {{"input_ids", {3, 1, 4}}, {"labels", {3, 1, 4}}}},
      {"lines.txt", "a lamp\n\nof brass\n", "text", {{"text", "a lamp\n\nof brass"}}},
      {"page.md", "# A lamp\n\nof brass\n", "text",
       {{"text", "# A lamp\n\nof brass"}}}};
  return rows;
}

TEST(CliSmokeData, EveryFormatAndEndingOfTexts) {
  const Workplace place;
  std::vector<Words> commands;
  for (const TextRow& row : texts()) {
    place.write(row.file, row.content);
    commands.push_back(
        {"prepare", "text", "--input", row.file, "--output", row.file + "_out", "--json"});
  }
  const std::vector<Ran> results = run_each(place, commands);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const TextRow& row = texts()[i];
    SCOPED_TRACE(row.file);
    const Json json = json_of(results[i]);
    if (json.empty()) continue;
    EXPECT_EQ(json.at("format"), row.format);
    EXPECT_EQ(json.at("train"), row.records);
    const std::string lines = place.read(row.file + "_out/train.jsonl");
    EXPECT_EQ(Json::parse(lines.substr(0, lines.find('\n'))), row.first);
  }
}

TEST(CliSmokeData, NoFormatAndNoEndingIsLeftOut) {
  const Workplace place;
  Names formats, endings;
  for (const TextRow& row : texts()) {
    formats.insert(row.format);
    endings.insert(Path(row.file).extension());
  }
  EXPECT_EQ(formats, names_in(text_formats()));
  place.write("a.none", "");
  const Ran ran = place.lora({"prepare", "text", "--input", "a.none", "--output", "out"});
  EXPECT_EQ(endings, listed(ran.err, "expected one of ", ")"));
}

constexpr int kWidth = 80, kHeight = 64;

// Red to the left, blue to the right.
Image two_colours() {
  Image image{kWidth, kHeight, std::vector<std::uint8_t>(kWidth * kHeight * 3)};
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) image.row(y)[3 * x + (x < kWidth / 2 ? 0 : 2)] = 255;
  }
  return image;
}

// Uncompressed, 24 bits a pixel, the lowest row first.
// https://learn.microsoft.com/windows/win32/gdi/bitmap-storage
std::string bmp(const Image& image) {
  constexpr std::uint32_t kHeader = 54;
  std::string bytes = "BM";
  const auto number = [&](std::uint32_t value, int size) {
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> 8 * i & 255);
  };
  const auto width = static_cast<std::uint32_t>(image.width);
  const auto height = static_cast<std::uint32_t>(image.height);
  const std::uint32_t size = kHeader + 3 * width * height;
  for (const std::uint32_t value : {size, 0U, kHeader, 40U, width, height}) number(value, 4);
  number(1, 2);
  number(24, 2);
  for (int i = 0; i < 6; ++i) number(0, 4);
  for (int y = image.height; y-- > 0;) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 2; c >= 0; --c) bytes += static_cast<char>(image.row(y)[3 * x + c]);
    }
  }
  return bytes;
}

// Endings that libvips does not write: others of the same format.
Path written_as(const Path& path) {
  const std::string ending = path.extension().string();
  const bool jpeg = ending == ".jfif" || ending == ".jpe";
  const bool heif = ending == ".heic" || ending == ".heif";
  return jpeg ? path.string() + ".jpg" : heif ? path.string() + ".avif" : path.string();
}

// Uncompressed, one strip behind the only directory; `wide`: BigTIFF.
// https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
std::string tiff(const Image& image, bool big_endian, bool wide) {
  std::string bytes = big_endian ? "MM" : "II";
  const auto number = [&](std::size_t value, int size) {
    for (int i = 0; i < size; ++i) {
      bytes += static_cast<char>(value >> 8 * (big_endian ? size - 1 - i : i) & 255);
    }
  };
  const int size = wide ? 8 : 4;  // of counts and offsets
  const auto entry = [&](int tag, int type, const std::vector<std::size_t>& values) {
    number(tag, 2);
    number(type, 2);
    number(values.size(), size);
    const std::size_t end = bytes.size() + (wide ? 8 : 4);
    for (const std::size_t value : values) number(value, type == 3 ? 2 : 4);
    bytes.resize(end, '\0');
  };
  number(wide ? 43 : 42, 2);
  if (wide) number(8, 2);  // bytes of an offset
  if (wide) number(0, 2);
  number(wide ? 16 : 8, size);
  constexpr std::size_t kEntries = 8;
  number(kEntries, wide ? 8 : 2);
  const std::size_t data = bytes.size() + (wide ? kEntries * 20 + 8 : kEntries * 12 + 4);
  entry(256, 3, {static_cast<std::size_t>(image.width)});
  entry(257, 3, {static_cast<std::size_t>(image.height)});
  entry(258, 3, {8});  // bits of each of the three colours
  entry(262, 3, {2});  // RGB
  entry(273, 4, {data});
  entry(277, 3, {3});
  entry(278, 3, {static_cast<std::size_t>(image.height)});
  entry(279, 4, {image.rgb.size()});
  number(0, size);
  return bytes + std::string(image.rgb.begin(), image.rgb.end());
}

// The boxes around a JPEG XL stream: signature, kind of file, stream (ISO/IEC 18181-2).
std::string jxl_container(const std::string& stream) {
  const auto box = [](const std::string& name, const std::string& content) {
    const std::size_t size = 8 + content.size();
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 255);
    return bytes + name + content;
  };
  return box("JXL ", "\r\n\x87\n") + box("ftyp", "jxl " + std::string(4, '\0') + "jxl ") +
         box("jxlc", stream);
}

// Kinds of files that share an ending with a usual one: what is written, and under which name.
std::map<std::string, std::string> unusual_pictures(const Workplace& place) {
  const Image image = two_colours();
  return {{"of_mm.tif", tiff(image, true, false)},
          {"of_big.tif", tiff(image, false, true)},
          {"of_big_mm.tif", tiff(image, true, true)},
          {"of_boxes.jxl", jxl_container(place.read("in/of_jxl.jxl"))}};
}

void write_picture(const Path& path) {
  Image image = two_colours();
  if (path.extension() == ".bmp") return write_file_atomic(path, bmp(image));
  const Path written = written_as(path);
  vips::VImage::new_from_memory(image.rgb.data(), image.rgb.size(), kWidth, kHeight, 3,
                                VIPS_FORMAT_UCHAR)
      .copy(vips::VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB))
      .write_to_file(written.c_str());
  fs::rename(written, path);
}

// The endings that the program looks for.
Names picture_endings(const Workplace& place) {
  fs::create_directory(place / "empty");
  const Ran ran = place.lora({"prepare", "images", "--input", "empty", "--output", "out"});
  return listed(ran.err, "looked for ", " in it");
}

// One picture in every kind of file; their names without ending.
Names write_pictures(const Workplace& place, const Names& endings) {
  Names names;
  fs::create_directory(place / "in");
  for (const std::string& ending : endings) {
    names.insert("of_" + ending.substr(1));
    write_picture(place / ("in/of_" + ending.substr(1) + ending));
  }
  for (const auto& [file, content] : unusual_pictures(place)) {
    names.insert(Path(file).stem());
    place.write("in/" + file, content);
  }
  for (const std::string& name : names) place.write("in/" + name + ".txt", "written as " + name);
  return names;
}

TEST(CliSmokeData, EveryKindOfPictures) {
  const Workplace place;
  Names endings = picture_endings(place);
  if (vips_foreign_find_save(".jxl") == nullptr) endings.erase(".jxl");  // BadPicture has its words
  ASSERT_GE(endings.size(), 9U);
  const Names names = write_pictures(place, endings);
  const Json report = json_of(place.lora({"prepare", "images", "--input", "in", "--output", "out",
                                          "--resolution", "64", "--keep-duplicates", "--json"}));
  EXPECT_EQ(report.at("used"), names.size());
  for (const std::string& name : names) {
    EXPECT_THAT(place.read("out/metadata.csv"), testing::HasSubstr(",written as " + name + ","));
    const Path made = place / ("out/" + name + ".png");
    if (!fs::exists(made)) {
      ADD_FAILURE() << "no picture " << name;
      continue;
    }
    const Image image = read_image(made).image;
    ASSERT_EQ(image.width, 64);
    ASSERT_EQ(image.height, 64);
    EXPECT_GT(image.row(32)[3 * 8], 200) << name << ": red";
    EXPECT_LT(image.row(32)[3 * 56], 55) << name;
    EXPECT_GT(image.row(32)[3 * 56 + 2], 200) << name << ": blue";
  }
}

}  // namespace
}  // namespace lora::test
