// SPDX-License-Identifier: Apache-2.0
#include "data/text_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json_text.h"
#include "base/table.h"
#include "base/utf8.h"
#include "data/text_folder.h"
#include "io/compressed.h"
#include "io/csv.h"

namespace lora {
namespace {

using nlohmann::ordered_json;

struct Reading {
  const Path& file;
  const Attempts& attempts;
  const TakeRecord& take;
};

struct ReaderRow {
  const char* name;  // the file's ending
  void (*read)(std::string_view content, const Reading& to);
};

std::int64_t line_of(std::string_view text, std::size_t byte) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(byte, text.size()));
  return 1 + std::count(text.begin(), end, '\n');
}

ordered_json parse_json(std::string_view text, const Path& file, std::int64_t first_line) {
  ordered_json json;
  if (const auto mistake = read_json_text(text, json)) {
    const std::size_t byte = mistake->byte > 0 ? mistake->byte - 1 : 0;
    const std::string where = join(file.string(), ":", first_line + line_of(text, byte) - 1, ": ");
    if (mistake->found.empty()) {
      fail_usage(where, "not valid JSON; check quotes, commas and brackets there");
    }
    fail_usage(where, mistake->what, " (found ", mistake->found, "); mend the record there");
  }
  return json;
}

void read_jsonl(std::string_view content, const Reading& to) {
  std::int64_t line = 0;
  for (const std::string& text : split(without_bom(content), '\n')) {
    ++line;
    if (trim(text).empty()) continue;
    const RecordPlace place{to.file, line, "line"};
    to.attempts.record(place.text(), [&] {
      check_utf8(text, to.file.string(), static_cast<int>(line));
      to.take(parse_json(text, to.file, line), place);
    });
  }
}

// Many call JSONL files .json.
bool holds_lines(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  const std::size_t line_end = text.find('\n');
  return text.starts_with('{') && line_end != std::string_view::npos &&
         ordered_json::accept(text.substr(0, line_end)) && !ordered_json::accept(text);
}

// An array of records, or an object one of whose fields is that array.
void read_json(std::string_view content, const Reading& to) {
  check_utf8(content, to.file.string());
  const std::string_view text = without_bom(content);
  if (trim(text).empty()) return;
  if (holds_lines(text)) return read_jsonl(content, to);
  ordered_json all = parse_json(text, to.file, 1);
  if (all.is_object()) {
    for (const char* name : {"data", "train", "rows", "examples"}) {
      if (!all.contains(name) || !all[name].is_array()) continue;
      ordered_json inner = std::move(all[name]);
      all = std::move(inner);
      break;
    }
  }
  if (all.is_object()) all = ordered_json::array({all});
  if (!all.is_array()) {
    fail_usage(to.file.string(), ": not a list of records (found ", all.type_name(), ")");
  }
  std::int64_t row = 0;
  for (ordered_json& record : all) {
    const RecordPlace place{to.file, ++row, "record"};
    to.attempts.record(place.text(), [&] { to.take(std::move(record), place); });
  }
}

void read_table(std::string_view content, const Reading& to) {
  const CsvTable table = parse_csv(content, to.file.string());
  std::set<std::string> names;
  for (const std::string& name : table.header) {
    if (names.insert(name).second) continue;
    fail_usage(to.file.string(), ":1: two columns are called '", name, "'; rename one");
  }
  if (names.size() > kMostFields) {
    fail_usage(to.file.string(), ":1: too many columns (found ", names.size(),
               ", expected at most ", kMostFields, "); leave out what is not needed");
  }
  for (const CsvRow& row : table.rows) {
    ordered_json::object_t record;  // a vector: adding at its end needs no search
    for (std::size_t i = 0; i < table.header.size(); ++i) {
      record.emplace_back(table.header[i], row.cells[i]);
    }
    const RecordPlace place{to.file, row.line, "line"};
    to.attempts.record(place.text(), [&] { to.take(std::move(record), place); });
  }
}

void read_txt(std::string_view content, const Reading& to) {
  check_utf8(content, to.file.string());
  if (trim(content).empty()) return;
  const RecordPlace place{to.file, 1, "line"};
  to.attempts.record(place.text(), [&] {
    to.take({{"text", std::string(without_bom(content))}}, place);
  });
}

constexpr ReaderRow kReaders[] = {
    {".jsonl", read_jsonl}, {".json", read_json}, {".csv", read_table},
    {".txt", read_txt},     {".md", read_txt},    {".ndjson", read_jsonl},
};

constexpr std::span<const ReaderRow> readers() { return kReaders; }

}  // namespace

std::string RecordPlace::text() const {
  return unit == "line" ? join(file.string(), ":", row) : join(file.string(), ": ", unit, " ", row);
}

void Attempts::run(const std::string& place, bool whole_file,
                   const std::function<void()>& action) const {
  try {
    action();
  } catch (const Error& error) {
    if (left_out_ == nullptr) throw;
    const std::string text = error.what();
    // The text begins with the place, or with a nearer one: "file:5: ...".
    const bool nearer = text.starts_with(place) && text.find(": ") != std::string::npos;
    const std::size_t end = nearer ? text.find(": ", place.size()) : std::string::npos;
    left_out_->push_back(nearer ? LeftOut{text.substr(0, end), text.substr(end + 2), whole_file}
                                : LeftOut{place, text, whole_file});
  }
}

bool is_text_ending(std::string_view ending) { return find_row(readers(), ending) != nullptr; }

std::string text_endings() { return join_words(names_of(readers())); }

void read_text_file(const Path& file, const Attempts& attempts, const TakeRecord& take) {
  const std::string ending = ending_inside(file);
  const ReaderRow* reader = find_row(readers(), ending);
  const std::string conversion = conversion_of(file);
  if (!conversion.empty()) fail_usage(file.string(), ": ", conversion);
  if (reader == nullptr) {
    fail_usage(file.string(), ": unknown kind of file (found '", ending, "', expected one of ",
               text_endings(), ")");
  }
  attempts.file(file.string(), [&] { reader->read(read_unpacked(file), {file, attempts, take}); });
}

}  // namespace lora
