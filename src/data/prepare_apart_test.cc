// SPDX-License-Identifier: Apache-2.0
// `prepare` and the originals, the files of others, and names that lead elsewhere.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/prepare_images.h"
#include "data/prepare_text.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class PrepareApart : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(place_);
    picture("in/lamp.png", 1);
  }
  void TearDown() override { fs::remove_all(place_); }
  void picture(const std::string& name, int kind) const {
    Image image{80, 80, std::vector<std::uint8_t>(80 * 80 * 3)};
    for (std::size_t i = 0; i < image.rgb.size(); ++i) {
      image.rgb[i] = static_cast<std::uint8_t>((i * (7 + static_cast<std::size_t>(kind))) % 251);
    }
    write_png(place_ / name, image);
  }
  PrepareReport prepare() const {
    ImageDataOptions options;
    options.folder = place_ / "in";
    options.images.resolution = 64;
    return prepare_images(options, place_ / "out");
  }
  std::string refusal() const {
    try {
      prepare();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::usage);
      return error.what();
    }
    return "no error";
  }
  std::string problem_of(const PrepareReport& report, const std::string& name) const {
    for (const ImageRecord& record : report.scan.records) {
      if (record.file.relative == name) return record.problem;
    }
    return "no such record";
  }
  // The state of an earlier run that names other files as its own.
  void tamper(const std::vector<std::string>& names) const {
    json outputs = json::object();
    for (const std::string& name : names) outputs[name] = {"", "", ""};
    write_file_atomic(place_ / "out/.prepare.json",
                      json{{"facts_key", "x"},
                           {"facts", json::object()},
                           {"captions", json::object()},
                           {"outputs", outputs}}
                          .dump());
  }
  const Path place_ = fs::temp_directory_path() / "lora_prepare_apart";
};

TEST_F(PrepareApart, FilesThatATamperedStateNamesStay) {
  write_file_atomic(place_ / "victim.txt", "precious");
  picture("victim.png", 2);
  picture("originals/victim.png", 2);
  fs::create_directories(place_ / "out");
  fs::create_directory_symlink("../originals", place_ / "out/link");
  tamper({"../victim.txt", "../victim.png", (place_ / "victim.png").string(), "/", "..", "",
          "link/victim.png", "a/../../victim.png"});
  EXPECT_EQ(prepare().removed, 0U);
  for (const char* name : {"victim.txt", "victim.png", "originals/victim.png"}) {
    EXPECT_TRUE(fs::exists(place_ / name)) << name;
  }
}

TEST_F(PrepareApart, WhatTheUserPutThereStays) {
  prepare();
  for (const char* name : {"out/notes.tmp", "out/lamp.png.tmp", "out/mine.png"}) {
    write_file_atomic(place_ / name, "mine");
  }
  fs::create_directories(place_ / "out/a.tmp/inner");
  prepare();
  for (const char* name : {"out/notes.tmp", "out/lamp.png.tmp", "out/mine.png"}) {
    EXPECT_EQ(read_file(place_ / name), "mine") << name;
  }
  EXPECT_TRUE(fs::exists(place_ / "out/a.tmp/inner"));
  // A new picture would have the name of the user's own.
  picture("in/mine.jpg.png", 3);
  fs::rename(place_ / "in/mine.jpg.png", place_ / "in/mine.png");
  EXPECT_EQ(refusal(), (place_ / "out/mine.png").string() +
                           ": is not the result of an earlier run, and a picture of this name is "
                           "to be written; move it away, or choose another --output");
  EXPECT_EQ(read_file(place_ / "out/mine.png"), "mine");
}

TEST_F(PrepareApart, AResultThatWasExchangedIsNotRemoved) {
  picture("in/cat.png", 2);
  prepare();
  fs::remove(place_ / "out/cat.png");
  write_file_atomic(place_ / "out/cat.png", "mine");
  fs::remove(place_ / "in/cat.png");
  EXPECT_EQ(prepare().removed, 0U);
  EXPECT_EQ(read_file(place_ / "out/cat.png"), "mine");
}

TEST_F(PrepareApart, OriginalsBehindALinkStay) {
  picture("photos/a.png", 2);
  const std::string before = sha256_file(place_ / "photos/a.png");
  fs::create_directory_symlink("../photos", place_ / "in/10_girl");
  EXPECT_EQ(prepare().written, 2U);
  EXPECT_TRUE(fs::is_regular_file(place_ / "out/10_girl/a.png"));
  fs::remove(place_ / "in/10_girl");
  EXPECT_EQ(prepare().removed, 1U);
  EXPECT_FALSE(fs::exists(place_ / "out/10_girl"));
  EXPECT_EQ(sha256_file(place_ / "photos/a.png"), before);
  // A folder of the output that is a link to the originals.
  fs::create_directory_symlink("../photos", place_ / "in/10_girl");
  fs::create_directory_symlink("../photos", place_ / "out/10_girl");
  EXPECT_THAT(problem_of(prepare(), "10_girl/a.png"),
              HasSubstr("leads out of the folder by a link; rename it"));
  EXPECT_EQ(sha256_file(place_ / "photos/a.png"), before);
}

TEST_F(PrepareApart, AwkwardNamesAreLeftOutOrWritten) {
  const std::string longest(251, 'l'), latin = "caf\xe9.png";
  for (const std::string& name : {longest + ".png", latin}) picture("in/" + name, 2);
  fs::rename(place_ / "in" / (longest + ".png"), place_ / "in" / (longest + ".jpg"));
  picture("in/" + std::string(250, 'l') + ".png", 3);
  fs::create_directory_symlink("..", place_ / "in/up");
  ASSERT_EQ(::mkfifo((place_ / "in/pipe.png").c_str(), 0600), 0);
  const PrepareReport report = prepare();
  EXPECT_EQ(report.written, 3U);
  EXPECT_THAT(problem_of(report, "caf\\xe9.png"), HasSubstr("its name is not UTF-8"));
  EXPECT_EQ(problem_of(report, "up"), "is a link to a folder around it");
  EXPECT_EQ(problem_of(report, "pipe.png"), "is a pipe or device, expected a file");
  EXPECT_TRUE(fs::exists(place_ / "out" / (longest + ".png")));
  EXPECT_THAT(read_file(place_ / "out/prepare_report.tsv"), HasSubstr("caf\\xe9.png\tbroken"));
}

TEST_F(PrepareApart, ACaptionThatIsAPipeEndsNothing) {
  picture("in/cat.png", 2);
  ASSERT_EQ(::mkfifo((place_ / "in/cat.txt").c_str(), 0600), 0);
  const PrepareReport report = prepare();
  EXPECT_EQ(report.written, 1U);
  EXPECT_THAT(problem_of(report, "cat.png"), HasSubstr("is a pipe or device, expected a file"));
}

TEST_F(PrepareApart, FilesThatAStateOfTextsNamesStay) {
  write_file_atomic(place_ / "texts/a.jsonl", R"({"prompt": "a", "completion": "b"})");
  write_file_atomic(place_ / "victim.txt", "precious");
  write_file_atomic(place_ / "prepared/notes.txt", "mine");
  const json known = {{"../victim.txt", {sha256("precious")}},
                      {(place_ / "victim.txt").string(), {sha256("precious")}},
                      {"notes.txt", {sha256("mine")}}};
  write_file_atomic(place_ / "prepared/.prepare.json", known.dump());
  write_prepared_text(prepare_text({.input = place_ / "texts"}), place_ / "prepared");
  EXPECT_EQ(read_file(place_ / "victim.txt"), "precious");
  EXPECT_EQ(read_file(place_ / "prepared/notes.txt"), "mine");
}

// What is no picture reaches no reader of libvips: an XML file would start programs through
// ImageMagick, a ZIP file take the memory that it claims.
TEST_F(PrepareApart, FirstBytesDecideWhatAPictureIs) {
  struct Row {
    std::string bytes, found;
  };
  const Row rows[] = {
      {"<?xml version=\"1.0\"?>\n<image><read filename=\"x\"/></image>",
       "a page of HTML, SVG or XML"},
      {"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "a page of HTML, SVG or XML"},
      {"PK\x03\x04 a=1e9", "a ZIP archive"},
      {"%PDF-1.4", "a PDF document"},
      {"%!PS-Adobe-3.0", "a text file"},
      {"push graphic-context\nimage over 0,0 0,0 'https://x/'", "a text file"},
      {"SIMPLE  =                    T", "a text file"},
      {"P6\n9999999 9999999\n255\n", "a text file"},
      {"#?RADIANCE\n", "a text file"},
      {"\x76\x2f\x31\x01\x02", "unknown content"},
      {std::string("\0\0\0\x0cjP  ", 8), "unknown content"},
  };
  for (const Row& row : rows) {
    write_file_atomic(place_ / "in/x.png", row.bytes);
    EXPECT_EQ(problem_of(prepare(), "x.png"),
              "not a picture that can be read (found " + row.found +
                  ", expected PNG, JPEG, WebP, TIFF, AVIF, GIF or BMP); replace or remove it")
        << row.bytes;
  }
}

}  // namespace
}  // namespace lora
