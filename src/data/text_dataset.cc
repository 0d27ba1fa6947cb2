// SPDX-License-Identifier: Apache-2.0
#include "data/text_dataset.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "base/folders.h"
#include "base/json_text.h"
#include "base/table.h"
#include "base/utf8.h"
#include "io/csv.h"

namespace lora {
namespace {

using nlohmann::ordered_json;

struct RawRecord {
  ordered_json fields;
  Path file;
  std::int64_t row;
  std::string_view unit;  // "line" or "record"
};

// What was read, and where problems go: an error is thrown on unless there is a list for them.
struct Reading {
  std::vector<RawRecord> records;
  std::vector<LeftOut>* left_out = nullptr;

  void attempt(const std::string& place, const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      if (left_out == nullptr) throw;
      const std::string text = error.what();
      // The text begins with the place, or with a nearer one: "file:5: ...".
      const bool nearer = text.starts_with(place) && text.find(": ") != std::string::npos;
      const std::size_t end = nearer ? text.find(": ", place.size()) : std::string::npos;
      left_out->push_back(nearer ? LeftOut{text.substr(0, end), text.substr(end + 2)}
                                 : LeftOut{place, text});
    }
  }
};

struct ReaderRow {
  const char* name;  // the file's ending
  void (*read)(const Path& file, Reading& out);
};

std::string place_of(const Path& file, std::int64_t row, std::string_view unit) {
  return unit == "line" ? join(file.string(), ":", row) : join(file.string(), ": ", unit, " ", row);
}

std::string place(const RawRecord& raw) { return place_of(raw.file, raw.row, raw.unit); }

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

void read_jsonl(const Path& file, Reading& out) {
  const std::string content = read_file(file);
  std::int64_t line = 0;
  for (const std::string& text : split(without_bom(content), '\n')) {
    ++line;
    if (trim(text).empty()) continue;
    out.attempt(join(file.string(), ":", line), [&] {
      check_utf8(text, file.string(), static_cast<int>(line));
      out.records.push_back({parse_json(text, file, line), file, line, "line"});
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
void read_json(const Path& file, Reading& out) {
  const std::string content = read_file(file);
  check_utf8(content, file.string());
  const std::string_view text = without_bom(content);
  if (trim(text).empty()) return;
  if (holds_lines(text)) return read_jsonl(file, out);
  ordered_json all = parse_json(text, file, 1);
  if (all.is_object()) {
    for (const char* name : {"data", "train", "rows", "examples"}) {
      if (!all.contains(name) || !all[name].is_array()) continue;
      ordered_json inner = std::move(all[name]);
      all = std::move(inner);
      break;
    }
  }
  if (all.is_object()) all = ordered_json::array({all});
  if (!all.is_array())
    fail_usage(file.string(), ": not a list of records (found ", all.type_name(), ")");
  std::int64_t row = 0;
  for (ordered_json& record : all) {
    out.records.push_back({std::move(record), file, ++row, "record"});
  }
}

void read_table(const Path& file, Reading& out) {
  const CsvTable table = read_csv(file);
  std::set<std::string> names;
  for (const std::string& name : table.header) {
    if (names.insert(name).second) continue;
    fail_usage(file.string(), ":1: two columns are called '", name, "'; rename one");
  }
  if (names.size() > kMostFields) {
    fail_usage(file.string(), ":1: too many columns (found ", names.size(), ", expected at most ",
               kMostFields, "); leave out what is not needed");
  }
  for (const CsvRow& row : table.rows) {
    ordered_json::object_t record;  // a vector: adding at its end needs no search
    for (std::size_t i = 0; i < table.header.size(); ++i) {
      record.emplace_back(table.header[i], row.cells[i]);
    }
    out.records.push_back({std::move(record), file, row.line, "line"});
  }
}

void read_txt(const Path& file, Reading& out) {
  const std::string content = read_file(file);
  check_utf8(content, file.string());
  if (trim(content).empty()) return;
  out.records.push_back({{{"text", std::string(without_bom(content))}}, file, 1, "line"});
}

constexpr ReaderRow kReaders[] = {
    {".jsonl", read_jsonl}, {".json", read_json}, {".csv", read_table},
    {".txt", read_txt},     {".md", read_txt},    {".ndjson", read_jsonl},
};

// Files that accompany data without being it.
bool is_companion(const Path& file) {
  const std::string name = file.filename().string();
  return name.starts_with(".") || name == "README.md" || name == "dataset_info.json";
}

std::vector<Path> data_files(const Path& path, std::vector<std::string>& notes) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    fail_usage(path.string(), ": no such file or folder; check the path");
  }
  if (!std::filesystem::is_directory(path, ignored)) return {path};
  std::vector<Path> out;
  for (const FoundFile& file : files_below(path)) {
    const bool folder = std::filesystem::is_directory(file.path, ignored);
    const std::string ending = lower_ascii(file.path.extension().string());
    const bool data = !is_companion(file.path) &&
                      find_row(std::span<const ReaderRow>(kReaders), ending) != nullptr;
    if (file.problem.empty() && data) out.push_back(file.path);
    if (!file.problem.empty() && (data || folder)) {
      notes.push_back("left out " + file.relative + ": " + file.problem);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string endings() { return join_words(names_of(std::span<const ReaderRow>(kReaders))); }

std::vector<RawRecord> read_files(const std::vector<Path>& files, std::vector<LeftOut>* left_out) {
  Reading out{{}, left_out};
  for (const Path& file : files) {
    const std::string ending = lower_ascii(file.extension().string());
    const ReaderRow* reader = find_row(std::span<const ReaderRow>(kReaders), ending);
    if (reader == nullptr) {
      fail_usage(file.string(), ": unknown kind of file (found '", ending, "', expected one of ",
                 endings(), ")");
    }
    out.attempt(file.string(), [&] { reader->read(file, out); });
  }
  return std::move(out.records);
}

const FormatRow& choose_format(const std::string& format, const RawRecord& raw,
                               const ColumnNames& columns) {
  if (format != "auto") return row_of(text_formats(), "dataset_format", format);
  for (const FormatRow& row : text_formats()) {
    if (row.matches(raw.fields, columns)) return row;
  }
  std::vector<std::string> found, wanted;
  for (const auto& [name, unused] : raw.fields.items()) found.push_back(name);
  for (const FormatRow& row : text_formats()) wanted.push_back(join(row.name, ": ", row.help));
  fail_usage(place(raw), ": no known format fits (found the fields ", join_words(found),
             "; expected one of ", join_words(wanted, "; "), "); name the fields with `columns`");
}

// Why a record cannot be trained on, or "".
std::string unusable(const TextRecord& record) {
  if (!record.tokens.ids.empty()) {
    const auto& labels = record.tokens.labels;
    const bool target = std::any_of(labels.begin() + 1, labels.end(),
                                    [](std::int64_t label) { return label != kIgnore; });
    return target ? "" : "no label is a target";
  }
  if (record.messages.empty()) return trim(record.text).empty() ? "the text is empty" : "";
  for (const Message& message : record.messages) {
    if (message.role == "assistant" && !trim(message.content).empty()) return "";
  }
  return "there is no answer, or it is empty";
}

std::string content_hash(const TextRecord& record) {
  ordered_json content;
  if (!record.tokens.ids.empty()) {
    content = {{"input_ids", record.tokens.ids}, {"labels", record.tokens.labels}};
  } else if (record.messages.empty()) {
    content = {{"text", record.text}};
  } else {
    for (const Message& message : record.messages) {
      content.push_back({message.role, message.content});
    }
  }
  return sha256(content.dump());
}

// Reads one record into `out`; `row` is the format of the one before.
void add_record(const RawRecord& raw, const std::string& format, const ColumnNames& columns,
                const FormatRow*& row, TextDataset& out, std::vector<LeftOut>* left_out) {
  if (!raw.fields.is_object()) {
    fail_usage(place(raw), ": not a record (found ", raw.fields.type_name(),
               ", expected fields with names)");
  }
  const bool other = row == nullptr || (format == "auto" && !row->matches(raw.fields, columns));
  if (other) row = &choose_format(format, raw, columns);
  if (out.format.empty()) out.format = row->name;
  TextRecord record;
  record.file = raw.file;
  record.row = raw.row;
  record.unit = raw.unit;
  try {
    row->read(raw.fields, columns, record);
  } catch (const Error& error) {
    fail_usage(place(raw), ": ", error.what());
  }
  const std::string reason = unusable(record);
  if (!reason.empty()) {
    out.notes.push_back(place(raw) + ": left out: " + reason);
    if (left_out != nullptr) left_out->push_back({place(raw), reason});
    return;
  }
  record.sha256 = content_hash(record);
  out.records.push_back(std::move(record));
}

}  // namespace

std::string place_of(const TextRecord& record) {
  return place_of(record.file, record.row, record.unit);
}

std::string content_of(const TextRecord& record) {
  std::string text = record.text;
  for (const Message& message : record.messages) text += message.content + "\n";
  return text;
}

TextDataset load_text_dataset(const Path& path, const std::string& format,
                              const ColumnNames& columns, std::vector<LeftOut>* left_out) {
  TextDataset out;
  out.files = data_files(path, out.notes);
  if (out.files.empty()) {
    fail_usage(path.string(), ": no data files (looked for ", endings(),
               " in this folder and below; found none)",
               out.notes.empty() ? "" : join("; ", join_words(out.notes, "; ")));
  }
  const std::vector<RawRecord> raws = read_files(out.files, left_out);
  if (raws.empty() && (left_out == nullptr || left_out->empty())) {
    fail_usage(path.string(), ": no records (read ", out.files.size(),
               " file(s), all of them empty)");
  }
  const FormatRow* row = nullptr;
  Reading judged{{}, left_out};
  for (const RawRecord& raw : raws) {
    judged.attempt(place(raw), [&] { add_record(raw, format, columns, row, out, left_out); });
  }
  if (out.records.empty()) {
    const bool noted = out.notes.empty() && left_out != nullptr && !left_out->empty();
    fail_usage(
        path.string(), ": nothing to train on (", raws.size(),
        " records read, all left out; the first: ",
        noted ? join(left_out->front().place, ": ", left_out->front().reason) : out.notes.front(),
        ")");
  }
  return out;
}

}  // namespace lora
