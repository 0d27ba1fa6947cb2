// SPDX-License-Identifier: Apache-2.0
// CSV by RFC 4180 (libcsv): quotes, doubled quotes, line breaks inside quotes, LF or CRLF, a
// byte-order mark. UTF-8 only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace lora {

struct CsvRow {
  std::vector<std::string> cells;
  int line = 0;  // of the row's first character, from 1
};

struct CsvTable {
  std::vector<std::string> header;
  std::vector<CsvRow> rows;  // each with as many cells as the header

  // Index of the first header cell that equals one of `names` (any case), if any.
  std::optional<std::size_t> column(const std::vector<std::string>& names) const;
};

// The first row is the header. Throws Error with file and line: not UTF-8, a quote that never
// ends, a row with another number of cells.
CsvTable read_csv(const Path& path);
// The same of a content; `where` stands for the file.
CsvTable parse_csv(std::string_view content, const std::string& where);

// One line with "\n"; cells are quoted where needed.
std::string csv_line(const std::vector<std::string>& cells);

}  // namespace lora
