// SPDX-License-Identifier: Apache-2.0
#include "io/csv.h"

#include <csv.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "base/utf8.h"

namespace lora {
namespace {

struct Reader {
  std::vector<CsvRow> rows;
  CsvRow row;
};

void on_cell(void* data, std::size_t size, void* reader) {
  static_cast<Reader*>(reader)->row.cells.emplace_back(static_cast<const char*>(data), size);
}

void on_row(int, void* reader) {
  auto* r = static_cast<Reader*>(reader);
  r->rows.push_back(std::move(r->row));
  r->row = {};
}

// libcsv skips blank lines and tells no line numbers: bytes are fed one at a time and counted.
std::vector<CsvRow> parse(std::string_view text, const std::string& where) {
  csv_parser parser;
  csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI);
  csv_set_space_func(&parser, [](unsigned char) { return 0; });  // blanks belong to the cell
  Reader reader;
  int line = 1, begin = 0;
  bool broken = false;
  for (char c : text) {
    if (begin == 0 && c != '\n' && c != '\r') begin = line;
    const std::size_t before = reader.rows.size();
    broken = csv_parse(&parser, &c, 1, on_cell, on_row, &reader) != 1;
    if (broken) break;
    if (reader.rows.size() > before) {
      reader.rows.back().line = begin;
      begin = 0;
    }
    line += c == '\n';
  }
  broken = broken || csv_fini(&parser, on_cell, on_row, &reader) != 0;
  csv_free(&parser);
  if (broken) {
    fail_usage(where, ":", std::max(begin, 1),
               ": a quote is not closed or stands inside a cell; write "
               "\"...\" around the whole cell and \"\" for a quote in it");
  }
  if (begin != 0 && !reader.rows.empty()) reader.rows.back().line = begin;
  return std::move(reader.rows);
}

}  // namespace

std::optional<std::size_t> CsvTable::column(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    for (std::size_t i = 0; i < header.size(); ++i) {
      if (lower_ascii(trim(header[i])) == name) return i;
    }
  }
  return std::nullopt;
}

CsvTable read_csv(const Path& path) { return parse_csv(read_file(path), path.string()); }

CsvTable parse_csv(std::string_view content, const std::string& where) {
  check_utf8(content, where);
  std::vector<CsvRow> rows = parse(without_bom(content), where);
  if (rows.empty()) fail_usage(where, ": is empty, expected a header line such as file_name,text");
  CsvTable table;
  table.header = rows.front().cells;
  table.rows.assign(std::make_move_iterator(rows.begin() + 1), std::make_move_iterator(rows.end()));
  for (const CsvRow& row : table.rows) {
    if (row.cells.size() != table.header.size()) {
      fail_usage(where, ":", row.line, ": ", row.cells.size(), " cells, expected ",
                 table.header.size(), " (", join_words(table.header),
                 "); put quotes around a text that contains a comma");
    }
  }
  return table;
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) {
    if (&cell != &cells.front()) line += ',';
    const bool plain = cell.find_first_of(",\"\r\n") == std::string::npos &&
                       (cell.empty() || (cell.front() != ' ' && cell.back() != ' '));
    if (plain) {
      line += cell;
      continue;
    }
    line += '"';
    for (char c : cell) line += c == '"' ? std::string("\"\"") : std::string(1, c);
    line += '"';
  }
  return line + '\n';
}

}  // namespace lora
