// SPDX-License-Identifier: Apache-2.0
#include "data/text_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/text_data_fixture.h"

namespace lora {
namespace {

using test::TextData;

class TextFolder : public TextData {
 public:
  void fill(const std::vector<std::string>& names) const {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    for (const std::string& name : names) write(name, "x");
  }
  std::vector<std::string> read(Purpose purpose) const {
    std::vector<std::string> names;
    for (const Path& file : find_text_files(folder_, purpose).files) {
      names.push_back(file.lexically_relative(folder_).generic_string());
    }
    return names;
  }
  // Notes with the folder's name cut.
  std::vector<std::string> notes(Purpose purpose = Purpose::training) const {
    std::vector<std::string> out;
    for (std::string note : find_text_files(folder_, purpose).notes) {
      for (std::size_t at; (at = note.find(folder_.string())) != std::string::npos;) {
        note.replace(at, folder_.string().size(), "DIR");
      }
      out.push_back(std::move(note));
    }
    return out;
  }
};

TEST_F(TextFolder, SplitsByFileAndByFolder) {
  using Names = std::vector<std::string>;
  const struct {
    Names files, training, validation, measuring;
  } cases[] = {
      {{"test.jsonl", "train.jsonl", "valid.jsonl"},
       {"train.jsonl"}, {"valid.jsonl"}, {"test.jsonl"}},
      {{"data/test-00000-of-00001.jsonl", "data/train-00000-of-00002.jsonl",
        "data/train-00001-of-00002.jsonl", "data/validation-00000-of-00001.jsonl"},
       {"data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"},
       {"data/validation-00000-of-00001.jsonl"}, {"data/test-00000-of-00001.jsonl"}},
      {{"test/a.json", "train/a.json", "val/a.json"},
       {"train/a.json"}, {"val/a.json"}, {"test/a.json"}},
      {{"questions_dev.csv", "questions_test.csv.gz", "questions_train.csv"},
       {"questions_train.csv"}, {"questions_dev.csv"}, {"questions_test.csv.gz"}},
      {{"a.jsonl", "eval.jsonl"}, {"a.jsonl"}, {"eval.jsonl"}, {"eval.jsonl"}},
      {{"a.jsonl", "b.jsonl.zst"}, {"a.jsonl", "b.jsonl.zst"}, {"a.jsonl", "b.jsonl.zst"},
       {"a.jsonl", "b.jsonl.zst"}},
      {{"train.jsonl"}, {"train.jsonl"}, {"train.jsonl"}, {"train.jsonl"}},
      // A word in the middle, or a part of a word, is no split.
      {{"contest.jsonl", "maths_test_prep.jsonl", "trainer.jsonl"},
       {"contest.jsonl", "maths_test_prep.jsonl", "trainer.jsonl"},
       {"contest.jsonl", "maths_test_prep.jsonl", "trainer.jsonl"},
       {"contest.jsonl", "maths_test_prep.jsonl", "trainer.jsonl"}},
  };
  for (const auto& c : cases) {
    fill(c.files);
    EXPECT_EQ(read(Purpose::training), c.training);
    EXPECT_EQ(read(Purpose::validation), c.validation);
    EXPECT_EQ(read(Purpose::measuring), c.measuring);
  }
}

TEST_F(TextFolder, WhatIsNotReadIsNamed) {
  using testing::ElementsAre;
  using testing::IsEmpty;
  fill({"a.jsonl", ".hidden.jsonl"});
  EXPECT_THAT(notes(), IsEmpty());
  fill({"test.jsonl", "train.jsonl", "valid.jsonl"});
  EXPECT_THAT(notes(), ElementsAre("DIR: left out: test.jsonl, valid.jsonl (another split of the "
                                   "data; name the file itself to read it)"));
  EXPECT_THAT(notes(Purpose::measuring),
              ElementsAre("DIR: left out: train.jsonl, valid.jsonl (another split of the data; "
                          "name the file itself to read it)"));
  fill({"a.txt", "CHANGELOG.md", "LICENSE", "LICENSE-MIT.txt", "README_zh.md", "licence.txt",
        "dataset_info.json"});
  EXPECT_THAT(notes(), ElementsAre("DIR: left out: CHANGELOG.md, LICENSE, LICENSE-MIT.txt, "
                                   "README_zh.md, dataset_info.json, and 1 more (about the data, "
                                   "not data)"));
  EXPECT_EQ(read(Purpose::training), std::vector<std::string>{"a.txt"});
  fill({"licensed.txt", "reading.md"});
  EXPECT_THAT(notes(), IsEmpty());
  fill({"a.jsonl", "b.parquet", "c.arrow", "d.zip", "e.tar.gz", "f.png"});
  EXPECT_THAT(
      notes(),
      ElementsAre("DIR/b.parquet: left out: Parquet is not read; convert it: python3 -c \"import "
                  "pandas; pandas.read_parquet('DIR/b.parquet').to_json('DIR/b.parquet.jsonl', "
                  "orient='records', lines=True)\"",
                  "DIR/c.arrow: left out: Arrow is not read; convert it: python3 -c \"import "
                  "datasets; datasets.Dataset.from_file('DIR/c.arrow').to_json("
                  "'DIR/c.arrow.jsonl')\"",
                  "DIR/d.zip: left out: an archive is not read; convert it: unzip DIR/d.zip",
                  "DIR/e.tar.gz: left out: an archive is not read; convert it: tar xf "
                  "DIR/e.tar.gz",
                  "DIR: left out: f.png (no kind of text data)"));
}

TEST_F(TextFolder, NothingToReadIsRefused) {
  fill({"test.jsonl"});
  EXPECT_EQ(error_of([&] { find_text_files(folder_, Purpose::training); }),
            "DIR: no data files (looked for .jsonl, .json, .csv, .txt, .md, .ndjson in this folder "
            "and below; found none); DIR: left out: test.jsonl (another split of the data; name "
            "the file itself to read it)");
  fill({"a.xlsx"});
  EXPECT_EQ(error_of([&] { find_text_files(folder_, Purpose::training); }),
            "DIR: no data files (looked for .jsonl, .json, .csv, .txt, .md, .ndjson in this folder "
            "and below; found none); DIR/a.xlsx: left out: a spreadsheet is not read; convert it: "
            "save it as CSV");
  fill({});
  EXPECT_EQ(error_of([&] { find_text_files(folder_, Purpose::training); }),
            "DIR: no data files (looked for .jsonl, .json, .csv, .txt, .md, .ndjson in this folder "
            "and below; found none)");
}

}  // namespace
}  // namespace lora
