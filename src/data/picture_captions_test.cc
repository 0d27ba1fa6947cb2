// SPDX-License-Identifier: Apache-2.0
// Which caption each picture of a folder gets: tables, files beside pictures, text inside them.
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "base/text.h"
#include "data/caption_report.h"
#include "tests/picture_folder.h"

namespace lora {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;
using Captions = std::map<std::string, std::string>;

// Pictures that differ, so that none is a copy of another.
void write_pictures(const Path& folder, const std::vector<std::string>& names) {
  std::uint8_t grey = 40;
  for (const std::string& name : names) {
    write_png(folder / name, {64, 64, std::vector<std::uint8_t>(64 * 64 * 3, grey += 20)});
  }
}

Path new_folder(const std::string& name) {
  const Path folder = std::filesystem::temp_directory_path() / ("lora_captions_" + name);
  std::filesystem::remove_all(folder);
  return folder;
}

struct Set {
  const char* name;
  std::vector<std::string> pictures;  // below "data"
  Files files;                        // beside "data" or in it
  std::string metadata;               // below the folder; "" = not given
  CaptionColumns columns;
  Captions captions;
  std::string warnings;
};

void PrintTo(const Set& row, std::ostream* out) { *out << row.name; }

const std::vector<Set>& sets() {
  static const std::vector<Set> all = {
      {"table_in_a_subfolder",
       {"train/1.png", "train/2.png"},
       {{"data/train/metadata.jsonl",
         "{\"file_name\": \"1.png\", \"text\": \"red sky\"}\n"
         "{\"file_name\": \"2.png\", \"text\": \"on grass\"}\n"}},
       "",
       {},
       {{"train/1.png", "red sky"}, {"train/2.png", "on grass"}},
       ""},
      {"tables_of_two_folders",
       {"1.png", "side/1.png"},
       {{"data/metadata.csv", "file_name,text\n1.png,front\n"},
        {"data/side/metadata.csv", "file_name,text\n1.png,side\n"}},
       "",
       {},
       {{"1.png", "front"}, {"side/1.png", "side"}},
       ""},
      {"same_name_in_two_folders",
       {"1.png", "side/1.png"},
       {{"data/metadata.csv", "file_name,text\n1.png,front\n"}, {"data/side/1.txt", "side"}},
       "",
       {},
       {{"1.png", "front"}, {"side/1.png", "side"}},
       ""},
      {"bare_name_of_one_picture",
       {"10_zq/a.png"},
       {{"data/metadata.csv", "file_name,text\na.png,front\n"}},
       "",
       {},
       {{"10_zq/a.png", "front"}},
       ""},
      {"own_columns",
       {"a.png"},
       {{"data/metadata.jsonl", "{\"picture\": \"a.png\", \"Words\": \"on a desk\"}\n"}},
       "",
       {{"caption", "Words"}, {"image", "picture"}},
       {{"a.png", "on a desk"}},
       ""},
      {"own_column_of_csv",
       {"a.png"},
       {{"data/metadata.csv", "file_name,text,Words\na.png,no,on a desk\n"}},
       "",
       {{"caption", "Words"}},
       {{"a.png", "on a desk"}},
       ""},
      {"table_beside_the_folder",
       {"a.png", "b.png"},
       {{"captions.csv", "image, caption\ndata/a.png, on a chair\nb.png, at night\n"}},
       "captions.csv",
       {},
       {{"a.png", "on a chair"}, {"b.png", "at night"}},
       ""},
      {"table_of_another_machine",
       {"x/a.png", "b.png"},
       {{"t.csv", "image,caption\nC:\\pics\\data\\x\\a.png,on a chair\n/mnt/b.png,at night\n"}},
       "t.csv",
       {},
       {{"x/a.png", "on a chair"}, {"b.png", "at night"}},
       ""},
      {"kohya_meta",
       {"a.png", "b.png", "sub/c.png"},
       {{"meta.json",
         "{\"a\": {\"caption\": \"zq toy\", \"tags\": \"1toy, shelf\", \"train_resolution\": [64, "
         "64]},\n \"b\": {\"tags\": \"1toy, snow\"}, \"/home/u/data/sub/c.png\": {\"caption\": "
         "\"far\"}}"}},
       "meta.json",
       {},
       {{"a.png", "zq toy, 1toy, shelf"}, {"b.png", "1toy, snow"}, {"sub/c.png", "far"}},
       ""},
      {"json_of_names",
       {"a.png"},
       {{"meta.json", "{\"a.png\": \"on a desk\"}"}},
       "meta.json",
       {},
       {{"a.png", "on a desk"}},
       ""},
      {"json_array",
       {"a.png"},
       {{"meta.json", "[{\"file_name\": \"a.png\", \"text\": \"on a desk\"}]"}},
       "meta.json",
       {},
       {{"a.png", "on a desk"}},
       ""},
      {"list_of_captions",
       {"a.png"},
       {{"data/metadata.jsonl", "{\"file_name\": \"a.png\", \"text\": [\"front\", \"small\"]}\n"}},
       "",
       {},
       {{"a.png", "front"}},
       "1 pictures have a list of captions (first: a.png, 2); the first of each is used"},
      {"decomposed_letters",
       {"\xc3\xbc.png"},
       {{"data/metadata.csv", "file_name,text\nu\xcc\x88.png,an umlaut\n"}},
       "",
       {},
       {{"\xc3\xbc.png", "an umlaut"}},
       ""},
      {"endings_in_any_case",
       {"a.png", "b.png", "c.png"},
       {{"data/a.TXT", "sitting"}, {"data/b.png.txt", "standing"}, {"data/c.Caption", "lying"}},
       "",
       {},
       {{"a.png", "sitting"}, {"b.png", "standing"}, {"c.png", "lying"}},
       ""},
      {"json_beside",
       {"a.png", "b.png"},
       {{"data/a.json", "{\"caption\": \"on a shelf\", \"seed\": 1}"},
        {"data/b.json", "{\"tags\": [\"1toy\", \"snow\"]}"}},
       "",
       {},
       {{"a.png", "on a shelf"}, {"b.png", "1toy, snow"}},
       ""},
      {"json_without_caption",
       {"4_zq/a.png"},
       {{"data/4_zq/a.json", "{\"workflow\": {}}"}},
       "",
       {},
       {{"4_zq/a.png", "zq"}},
       "1 files beside pictures hold no caption (first: a.json; expected text, caption, prompt, "
       "description or tags)"},
      {"several_lines",
       {"a.png"},
       {{"data/a.txt", "zq toy,\nred sky,\non grass\n"}},
       "",
       {},
       {{"a.png", "zq toy, red sky, on grass"}},
       ""},
      {"names",
       {"red lamp.png", "IMG_1.png"},
       {},
       "",
       {},
       {{"red lamp.png", "red lamp"}, {"IMG_1.png", ""}},
       "1 of 2 captions are names of files or folders (first: red lamp.png: 'red lamp'); write "
       "NAME.txt beside the pictures, or a metadata.csv, where they should say more, 1 pictures "
       "have no caption and no name that says what they show; write captions, or give a trigger "
       "word"},
      {"table_that_is_not_read",
       {"4_zq/a.png"},
       {{"data/captions.csv", "x\n"}, {"data/4_zq/b.txt", "gone"}, {"data/c.mp4", ""}},
       "",
       {},
       {{"4_zq/a.png", "zq"}},
       "not read: 1 .csv (captions.csv), 1 .mp4 (c.mp4), 1 .txt (4_zq/b.txt)"},
  };
  return all;
}

ImageScan scan(const Path& folder, const Set& row) {
  write_pictures(folder / "data", row.pictures);
  for (const auto& [name, content] : row.files) write_file_atomic(folder / name, content);
  ImageDataOptions options;
  options.folder = folder / "data";
  if (!row.metadata.empty()) options.metadata = folder / row.metadata;
  options.columns = row.columns;
  options.images.resolution = 64;
  ImageFactsCache cache;
  return scan_images(options, cache);
}

class PictureCaptions : public testing::TestWithParam<Set> {};

TEST_P(PictureCaptions, AreFound) {
  const Set& row = GetParam();
  const Path folder = new_folder(row.name);
  const ImageScan found = scan(folder, row);
  Captions captions;
  for (const ImageRecord& record : found.records) {
    captions[record.file.relative] = record.caption;
    EXPECT_EQ(record.problem, "") << record.file.relative;
  }
  // This folder's name stands in no caption.
  if (captions.contains("IMG_1.png")) captions["IMG_1.png"] = "";
  EXPECT_EQ(captions, row.captions);
  EXPECT_EQ(join_words(found.warnings), row.warnings);
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Set, PictureCaptions, testing::ValuesIn(sets()),
                         [](const auto& info) { return std::string(info.param.name); });

struct Refusal {
  const char* name;
  std::vector<std::string> pictures;
  Files files;
  std::string metadata;
  std::string error;  // @ for the folder
};

TEST(PictureCaptionsRefused, WithTheirPlace) {
  const Refusal rows[] = {
      {"two_pictures_of_a_name",
       {"x/a.png", "y/a.png"},
       {{"data/metadata.csv", "file_name,text\na.png,front\n"}},
       "",
       "metadata.csv:2: 'a.png' means 2 pictures (found x/a.png and y/a.png); write its folder "
       "and ending"},
      {"two_tables_for_a_picture",
       {"x/a.png"},
       {{"data/metadata.csv", "file_name,text\nx/a.png,front\n"},
        {"data/x/metadata.csv", "file_name,text\na.png,side\n"}},
       "",
       "metadata.csv:2: 'a.png' has another caption at metadata.csv:2; keep one of the two"},
      {"table_of_another_kind",
       {"a.png"},
       {{"t.parquet", "PAR1"}},
       "t.parquet",
       "@/t.parquet: ending '.parquet', expected .csv, .jsonl or .json; convert it to one of them"},
      {"json_that_is_none",
       {"a.png"},
       {{"data/a.json", "{"}},
       "",
       "@/data: none of 1 pictures can be used:\n  a.png: @/data/a.json: is not JSON; write "
       "{\"caption\": \"...\"} or remove the file"},
      {"utf16_without_a_mark",
       {"a.png"},
       {{"data/a.txt", std::string("z\0q\0", 4)}},
       "",
       "@/data: none of 1 pictures can be used:\n  a.png: @/data/a.txt:1: holds bytes of zero "
       "(found UTF-16 or another encoding, expected UTF-8); save the file as UTF-8"},
      {"gbk",
       {"a.png"},
       {{"data/a.txt", "one line\n\xd0\xc7\xc1\xa7\n"}},
       "",
       "@/data: none of 1 pictures can be used:\n  a.png: @/data/a.txt:2: not valid UTF-8 (byte "
       "0xD0); save the file as UTF-8"},
  };
  for (const Refusal& row : rows) {
    const Path folder = new_folder(row.name);
    std::string text = "no error";
    try {
      scan(folder, {"", row.pictures, row.files, row.metadata, {}, {}, ""});
    } catch (const Error& error) {
      text = error.what();
      EXPECT_EQ(error.code(), Exit::usage) << row.name;
    }
    for (std::size_t at; (at = text.find(folder.string())) != text.npos;) {
      text.replace(at, folder.string().size(), "@");
    }
    EXPECT_EQ(text, row.error) << row.name;
    std::filesystem::remove_all(folder);
  }
}

TEST(PictureCaptionsInside, WordsOfCamerasAndProgramsAreNone) {
  for (const char* text :
       {"OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "KODAK Digital Still Camera",
        "SAMSUNG CAMERA PICTURES", "Created with GIMP", "Screenshot", "binary comment",
        "CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90", "{\"workflow\": 1}",
        "<?xpacket begin=''?>", "https://example.org/a.jpg", "2024:01:01 10:00:00", "", "  "}) {
    EXPECT_TRUE(is_program_text(text)) << text;
  }
  for (const char* text :
       {"a small toy on a red shelf", "a man with a digital camera", "1girl, smile",
        "a screenshot of a game", "photo of a lamp", "\xe6\x98\x9f\xe7\x92\x83",
        "the sony dsc on a table", "default pose, standing"}) {
    EXPECT_FALSE(is_program_text(text)) << text;
  }
}

TEST(PictureCaptionsInside, SettingsOfWebUisAreNone) {
  const Path folder = new_folder("webui");
  const Image picture{64, 64, std::vector<std::uint8_t>(64 * 64 * 3, 90)};
  const auto caption = [&](const std::map<std::string, std::string>& text) {
    write_png(folder / "a.png", picture, text);
    const auto found = embedded_caption(folder / "a.png", text);
    return found ? found->text : "none";
  };
  EXPECT_EQ(caption({{"parameters", "a lamp\nNegative prompt: x\nSteps: 20"}}), "a lamp");
  EXPECT_EQ(caption({{"parameters", "Steps: 20, Sampler: Euler"}}), "none");
  EXPECT_EQ(caption({{"parameters", "Negative prompt: bad\nSteps: 20"}}), "none");
  EXPECT_EQ(caption({{"Comment", "Created with GIMP"}}), "none");
  EXPECT_EQ(caption({{"Comment", "{\"steps\": 28}"}, {"Description", "a lamp"}}), "a lamp");
  std::filesystem::remove_all(folder);
}

TEST(PictureCaptionReport, CountsSourcesAndFolders) {
  const Path folder = new_folder("report");
  const ImageScan found = scan(
      folder, {"",
               {"10_zq/a.png", "10_zq/b.png", "c.png", "d.png", "lamp.png"},
               {{"data/10_zq/a.txt", "x"}, {"data/metadata.csv", "file_name,text\nc.png,y\n"},
                {"data/d.json", "{\"text\": \"z\"}"}},
               "",
               {},
               {},
               ""});
  EXPECT_EQ(caption_sources(found.used()),
            "2 from caption files, 1 from file names, 1 from folder names, 1 from metadata.csv");
  EXPECT_EQ(picture_folders(found.used()), "3 in ., 2 in 10_zq (10 times each)");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace lora
