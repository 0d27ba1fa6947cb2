// SPDX-License-Identifier: Apache-2.0
#include "io/csv.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace lora {
namespace {

CsvTable parse(const std::string& text) {
  const Path path = std::filesystem::temp_directory_path() / "lora_csv_test.csv";
  write_file_atomic(path, text);
  return read_csv(path);
}

std::string message(const std::string& text) {
  try {
    parse(text);
  } catch (const Error& error) {
    const std::string what = error.what();
    return what.substr(what.find(".csv") + 4);
  }
  return "no error";
}

}  // namespace

TEST(Csv, ReadsQuotesLineBreaksAndCrLf) {
  const CsvTable table = parse(
      "\xef\xbb\xbf"
      "file_name,Text\r\na.png,\"one, \"\"two\"\"\r\nthree\"\r\nb.png, x \r\n");
  EXPECT_EQ(table.header, (std::vector<std::string>{"file_name", "Text"}));
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.rows[0].cells[1], "one, \"two\"\r\nthree");
  EXPECT_EQ(table.rows[1].cells[1], " x ");
  EXPECT_EQ(table.rows[0].line, 2);
  EXPECT_EQ(table.rows[1].line, 4);
  EXPECT_EQ(table.column({"caption", "text"}), 1U);
}

TEST(Csv, LastLineNeedsNoLineBreak) { EXPECT_EQ(parse("a,b\n1,2").rows.at(0).line, 2); }

TEST(Csv, WhatIsWrittenIsReadBack) {
  const std::vector<std::string> cells = {"a,b", "say \"x\"", "", "two\nlines", " pad"};
  EXPECT_EQ(parse("1,2,3,4,5\n" + csv_line(cells)).rows.at(0).cells, cells);
}

TEST(Csv, NamesFileAndLineOfWhatIsBroken) {
  EXPECT_EQ(message(""), ": is empty, expected a header line such as file_name,text");
  EXPECT_EQ(message("a,b\n1,2\n1,2,3\n"),
            ":3: 3 cells, expected 2 (a, b); put quotes around a text that contains a comma");
  EXPECT_EQ(message("a,b\n1,\"2\n"),
            ":2: a quote is not closed or stands inside a cell; write \"...\" around the whole "
            "cell and \"\" for a quote in it");
  EXPECT_EQ(message("a\n\xe9\n"), ":2: not valid UTF-8 (byte 0xE9); save the file as UTF-8");
}

}  // namespace lora
