// SPDX-License-Identifier: Apache-2.0
// Metadata tables and caption files, good and broken, each with its caption or message.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"
#include "tests/picture_folder.h"

namespace lora {
namespace {

Path folder_of(const std::string& name) {
  return test::folder_with({64, 64, std::vector<std::uint8_t>(64 * 64 * 3, 90)},
                           "lora_bad_tables_" + name);
}

struct Table {
  const char* name;
  std::vector<std::pair<std::string, std::string>> files;
  std::string caption;  // of "good one.png"; empty: an error
  std::string text;     // the error, @ for the folder; otherwise the warnings
};

void PrintTo(const Table& row, std::ostream* out) { *out << row.name; }

std::string utf16(const std::string& text) {
  std::string out = "\xff\xfe";
  for (const char c : text) out += std::string{c, '\0'};
  return out;
}

const std::string kHeader = "file_name,text\n";
const std::string kQuote =
    "a quote is not closed or stands inside a cell; write \"...\" around the whole cell and \"\" "
    "for a quote in it";

const std::vector<Table>& tables() {
  static const std::vector<Table> all = {
      {"plain", {{"metadata.csv", kHeader + "good one.png,a lamp\n"}}, "a lamp", ""},
      {"bom_and_crlf",
       {{"metadata.csv",
         "\xef\xbb\xbf"
         "file_name,text\r\n\"good one.png\",\"a, b\"\r\n"}},
       "a, b",
       ""},
      {"line_break_in_cell",
       {{"metadata.csv", kHeader + "good one.png,\"two\nlines\"\n"}},
       "two lines",
       ""},
      {"other_names_of_columns",
       {{"metadata.csv", "Image,n,Prompt\ngood one.png,1,a lamp\n"}},
       "a lamp",
       ""},
      {"jsonl",
       {{"metadata.jsonl", "{\"file_name\":\"good one.png\",\"text\":\"a lamp\"}\n\n"}},
       "a lamp",
       ""},
      {"with_folder", {{"metadata.csv", kHeader + "./x/../good one.png,a lamp\n"}}, "a lamp", ""},
      {"full_path", {{"metadata.csv", kHeader + "@/good one.png,a lamp\n"}}, "a lamp", ""},
      {"same_row_twice",
       {{"metadata.csv", kHeader + "good one.png,a lamp\ngood one.png,a lamp\n"}},
       "a lamp",
       ""},
      {"empty_caption",
       {{"metadata.csv", kHeader + "good one.png,\n"}},
       "good one",
       "1 of 1 captions are names of files or folders (first: good one.png: 'good one'); write "
       "NAME.txt beside the pictures, or a metadata.csv, where they should say more"},
      {"row_without_picture",
       {{"metadata.csv", kHeader + "good one.png,a lamp\ngone.png,x\n"}},
       "a lamp",
       "1 entries of the metadata have no picture (first: gone.png)"},
      {"row_that_leaves_the_folder",
       {{"metadata.csv", kHeader + "good one.png,a lamp\n../../etc/passwd,x\n"}},
       "a lamp",
       "1 entries of the metadata have no picture (first: ../../etc/passwd)"},
      {"sidecar_wins_over_name",
       {{"good one.txt",
         "\xef\xbb\xbf"
         "from a file \r\n"}},
       "from a file",
       ""},
      {"table_wins_over_sidecar",
       {{"metadata.csv", kHeader + "good one.png,a lamp\n"}, {"good one.txt", "other"}},
       "a lamp",
       ""},
      {"other_caption_for_one_file",
       {{"metadata.csv", kHeader + "good one.png,x\ngood one.png,y\n"}},
       "",
       "metadata.csv:3: 'good one.png' has another caption at metadata.csv:2; keep one of the "
       "two"},
      {"unbalanced_quote",
       {{"metadata.csv", kHeader + "good one.png,\"a lamp\nb.png,x\n"}},
       "",
       "@/metadata.csv:2: " + kQuote},
      {"quote_in_cell",
       {{"metadata.csv", kHeader + "good one.png,a \"lamp\"\n"}},
       "",
       "@/metadata.csv:2: " + kQuote},
      {"comma_without_quotes",
       {{"metadata.csv", kHeader + "good one.png,a lamp, lit\n"}},
       "",
       "@/metadata.csv:2: 3 cells, expected 2 (file_name, text); put quotes around a text that "
       "contains a comma"},
      {"utf16",
       {{"metadata.csv", utf16(kHeader)}},
       "",
       "@/metadata.csv:1: holds bytes of zero (found UTF-16 or another encoding, expected UTF-8); "
       "save the file as UTF-8"},
      {"latin1",
       {{"metadata.csv", kHeader + "good one.png,caf\xe9\n"}},
       "",
       "@/metadata.csv:2: not valid UTF-8 (byte 0xE9); save the file as UTF-8"},
      {"no_file_column",
       {{"metadata.csv", "name,text\ngood one.png,x\n"}},
       "",
       "@/metadata.csv:1: no column for the file name (found name, text; expected file_name, "
       "filename, image, file, path); name the columns in the first line"},
      {"no_caption_column",
       {{"metadata.csv", "file_name,words\ngood one.png,x\n"}},
       "",
       "@/metadata.csv:1: no column for the caption (found file_name, words; expected text, "
       "caption, prompt, description); name the columns in the first line"},
      {"semicolons",
       {{"metadata.csv", "file_name;text\ngood one.png;x\n"}},
       "",
       "@/metadata.csv:1: no column for the file name (found file_name;text; expected file_name, "
       "filename, image, file, path); name the columns in the first line"},
      {"empty_table",
       {{"metadata.csv", ""}},
       "",
       "@/metadata.csv: is empty, expected a header line such as file_name,text"},
      {"jsonl_not_json",
       {{"metadata.jsonl", "{\"file_name\":\n"}},
       "",
       "@/metadata.jsonl:1: not a JSON object; write one object a line"},
      {"jsonl_without_caption",
       {{"metadata.jsonl", "{\"file_name\":\"good one.png\"}\n"}},
       "",
       "@/metadata.jsonl:1: no caption (found file_name, expected one of text, caption, prompt, "
       "description); add it"},
      {"empty_sidecar",
       {{"good one.txt", " \n"}},
       "",
       "@: none of 1 pictures can be used:\n  good one.png: @/good one.txt: is empty; write a "
       "caption or remove the file"},
      {"latin1_sidecar",
       {{"good one.txt", "caf\xe9"}},
       "",
       "@: none of 1 pictures can be used:\n  good one.png: @/good one.txt:1: not valid UTF-8 "
       "(byte 0xE9); save the file as UTF-8"},
  };
  return all;
}

class BadTable : public testing::TestWithParam<Table> {};

TEST_P(BadTable, HasItsMessage) {
  const Table& row = GetParam();
  const Path folder = folder_of(row.name);
  for (auto [name, content] : row.files) {
    const std::size_t at = content.find('@');
    if (at != std::string::npos) content.replace(at, 1, folder.string());
    write_file_atomic(folder / name, content);
  }
  try {
    const ImageScan found = test::scan_folder(folder);
    EXPECT_EQ(found.records.at(0).caption, row.caption);
    EXPECT_EQ(join_words(found.warnings), row.text);
  } catch (const Error& error) {
    std::string text = error.what();
    for (std::size_t at; (at = text.find(folder.string())) != std::string::npos;) {
      text.replace(at, folder.string().size(), "@");
    }
    EXPECT_EQ(text, row.text);
    EXPECT_EQ(error.code(), Exit::usage);
    EXPECT_EQ(row.caption, "");
  }
}

INSTANTIATE_TEST_SUITE_P(Folder, BadTable, testing::ValuesIn(tables()),
                         [](const auto& info) { return std::string(info.param.name); });

// Brackets and weights of WebUIs go; what only looks like them costs no more than other letters.
TEST(Captions, BracketsAreReadOnce) {
  EXPECT_EQ(apply_rules("a <lora:x:0.8> (lamp:1.2), <b> <c <lyco:y> d", {}), "a lamp, <b> <c d");
  const std::string many(400'000, '<');
  EXPECT_EQ(apply_rules(many + "lora:x>", {}).size(), many.size() - 1);
  std::string networks;
  for (int i = 0; i < 100'000; ++i) networks += "<lora:a>";
  EXPECT_EQ(apply_rules(networks + "b", {}), "b");
}

}  // namespace
}  // namespace lora
