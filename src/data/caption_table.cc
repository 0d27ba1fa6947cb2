// SPDX-License-Identifier: Apache-2.0
#include "data/caption_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/text.h"
#include "base/utf8.h"
#include "io/csv.h"
#include "tokenizers/unicode.h"

namespace lora {
namespace {

using Json = nlohmann::json;
using Captions = std::map<std::string, Caption>;
using Names = std::vector<std::string>;

const Names kFileColumns = {"file_name", "filename", "image", "file", "path"};
const Names kTextColumns = {"text", "caption", "prompt", "description"};

Names names_of(const CaptionColumns& columns, const std::string& role, const Names& usual) {
  const auto own = columns.find(role);
  return own == columns.end() ? usual : Names{own->second};
}
Names file_names(const CaptionColumns& columns) { return names_of(columns, "image", kFileColumns); }
Names text_names(const CaptionColumns& columns) {
  return names_of(columns, "caption", kTextColumns);
}

[[noreturn]] void fail_twice(const std::string& name, const Caption& first, const Caption& second) {
  fail_usage(second.source, ": '", name, "' has another caption at ", first.source,
             "; keep one of the two");
}

// Composed letters: file systems differ. What is not UTF-8 stays as it is.
std::string composed(const std::string& name) {
  return first_invalid_utf8(name) ? name : unicode::normalized(name, unicode::Form::nfc);
}

// "./a.png", "sub\a.png" and names in decomposed letters are those of the folder.
std::string plain_name(const std::string& name) {
  std::string text = trim(name);
  std::ranges::replace(text, '\\', '/');
  return composed(Path(text).lexically_normal().generic_string());
}

void insert(Captions& captions, const std::string& name, const Caption& caption) {
  const auto [at, fresh] = captions.try_emplace(plain_name(name), caption);
  if (!fresh && at->second.text != caption.text) fail_twice(name, at->second, caption);
}

// Names of columns are compared in lower case; those of the configuration as they are written.
std::optional<std::size_t> column_of(const CsvTable& table, const Names& names) {
  for (std::size_t i = 0; i < table.header.size(); ++i) {
    if (trim(table.header[i]) == names.front()) return i;
  }
  return table.column(names);
}

Captions from_csv(const Path& path, const CaptionColumns& columns) {
  const CsvTable table = read_csv(path);
  const Names file_columns = file_names(columns), text_columns = text_names(columns);
  const auto file = column_of(table, file_columns);
  const auto text = column_of(table, text_columns);
  if (!file || !text) {
    fail_usage(path.string(), ":1: no column for the ", file ? "caption" : "file name", " (found ",
               join_words(table.header), "; expected ",
               join_words(file ? text_columns : file_columns),
               "); name the columns in the first line");
  }
  Captions captions;
  for (const CsvRow& row : table.rows) {
    insert(captions, row.cells[*file],
           {row.cells[*text], join(path.filename().string(), ":", row.line)});
  }
  return captions;
}

// A text, or the texts of a list.
std::optional<Names> texts_of(const Json& object, const std::string& name) {
  const auto at = object.find(name);
  if (at == object.end()) return std::nullopt;
  if (at->is_string()) return Names{at->get<std::string>()};
  if (!at->is_array()) return std::nullopt;
  Names texts;
  for (const Json& entry : *at) {
    if (!entry.is_string()) return std::nullopt;
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

std::optional<std::string> file_in(const Json& object, const CaptionColumns& columns) {
  for (const std::string& name : file_names(columns)) {
    const auto at = object.find(name);
    if (at != object.end() && at->is_string()) return at->get<std::string>();
  }
  return std::nullopt;
}

void insert_row(Captions& captions, const Json& row, const CaptionColumns& columns,
                const std::string& where, const std::string& source) {
  if (!row.is_object()) fail_usage(where, ": not a JSON object; write one object a line");
  const auto file = file_in(row, columns);
  auto caption = caption_in(row, columns);
  if (!file || !caption) {
    Names found;
    for (const auto& [name, unused] : row.items()) found.push_back(name);
    fail_usage(where, ": no ", file ? "caption" : "file name", " (found ", join_words(found),
               ", expected one of ",
               join_words(file ? text_names(columns) : file_names(columns)), "); add it");
  }
  caption->source = source;
  insert(captions, *file, *caption);
}

// null where the text is not JSON.
Json parsed(const std::string& text) { return try_parse_json<Json>(text).value_or(Json()); }

Captions from_lines(const Path& path, std::string_view content, const CaptionColumns& columns) {
  Captions captions;
  int line = 0;
  for (const std::string& text : split(std::string(content), '\n')) {
    ++line;
    if (trim(text).empty()) continue;
    const std::string where = join(path.string(), ":", line);
    insert_row(captions, parsed(text), columns, where,
               join(path.filename().string(), ":", line));
  }
  return captions;
}

// {"name": {"caption": "...", "tags": "..."}} of kohya sd-scripts, or {"name": "caption"}.
Captions from_object(const Path& path, const Json& object) {
  Captions captions;
  for (const auto& [name, value] : object.items()) {
    Caption caption{value.is_string() ? value.get<std::string>() : "", ""};
    if (value.is_object()) caption = caption_in(value).value_or(caption);
    caption.source = join(path.filename().string(), ":", name);
    insert(captions, name, caption);
  }
  return captions;
}

Captions from_json(const Path& path, const CaptionColumns& columns) {
  const std::string content = read_file(path);
  check_utf8(content, path.string());
  const std::string text(without_bom(content));
  const bool lines = lower_ascii(path.extension().string()) == ".jsonl";
  const Json json = lines ? Json() : parsed(text);
  if (json.is_array()) {
    Captions captions;
    std::size_t number = 0;
    for (const Json& row : json) {
      const std::string place = join(":entry ", ++number);
      insert_row(captions, row, columns, path.string() + place, path.filename().string() + place);
    }
    return captions;
  }
  const bool by_name = json.is_object() && !file_in(json, columns);
  return by_name ? from_object(path, json) : from_lines(path, text, columns);
}

// Pictures by a name, with and without their ending.
class NameIndex {
 public:
  void add(const Path& name, const ImageFile* picture) {
    with_ending_[name.generic_string()].push_back(picture);
    without_ending_[Path(name).replace_extension().generic_string()].push_back(picture);
  }
  const std::vector<const ImageFile*>& find(const std::string& name) const {
    static const std::vector<const ImageFile*> none;
    for (const auto* names : {&with_ending_, &without_ending_}) {
      const auto at = names->find(name);
      if (at != names->end()) return at->second;
    }
    return none;
  }

 private:
  std::map<std::string, std::vector<const ImageFile*>> with_ending_, without_ending_;
};

Path full(const Path& path) {
  std::error_code ignored;
  return composed(std::filesystem::absolute(path, ignored).lexically_normal().generic_string());
}

// Finds what a table's names mean.
class PictureNames {
 public:
  PictureNames(const std::vector<ImageFile>& pictures, const Path& root) : root_(full(root)) {
    if (!root_.has_filename()) root_ = root_.parent_path();
    for (const ImageFile& picture : pictures) {
      const Path name = composed(picture.relative);
      paths_.add(root_ / name, &picture);
      bare_.add(name.filename(), &picture);
    }
  }

  const std::vector<const ImageFile*>& find(const std::string& name, const Path& table) const {
    for (const Path& folder : {full(table), root_, root_.parent_path()}) {
      const auto& found = paths_.find((folder / name).lexically_normal().generic_string());
      if (!found.empty()) return found;
    }
    const Path path = name;
    if (!path.has_parent_path()) return bare_.find(name);
    return is_full(name) ? by_end(path) : bare_.find("");
  }

 private:
  // Of this machine or another one.
  static bool is_full(const std::string& name) {
    return name.starts_with('/') || (name.size() > 2 && name[1] == ':' && name[2] == '/');
  }

  // A full path from before the pictures were moved: what stands below the folder is the same.
  const std::vector<const ImageFile*>& by_end(const Path& path) const {
    for (auto part = path.begin(); part != path.end(); ++part) {
      Path end;
      for (auto rest = part; rest != path.end(); ++rest) end /= *rest;
      if (end.is_absolute()) continue;
      const auto& found = paths_.find((root_ / end).generic_string());
      if (!found.empty()) return found;
    }
    return bare_.find("");
  }

  Path root_;
  NameIndex paths_, bare_;
};

}  // namespace

std::optional<Caption> caption_in(const Json& object, const CaptionColumns& columns) {
  std::optional<Caption> caption;
  for (const std::string& name : text_names(columns)) {
    if (caption) break;
    const auto texts = texts_of(object, name);
    if (texts && !texts->empty()) caption = Caption{texts->front(), "", texts->size()};
  }
  const auto tags = columns.contains("caption") ? std::nullopt : texts_of(object, "tags");
  if (!tags || tags->empty()) return caption;
  const std::string text = trim(join_words(*tags));
  if (!caption || trim(caption->text).empty()) return Caption{text, ""};
  if (!text.empty()) caption->text += ", " + text;
  return caption;
}

CaptionTable CaptionTable::read(const Path& path, const CaptionColumns& columns) {
  CaptionTable table;
  table.folder_ = path.has_parent_path() ? path.parent_path() : Path(".");
  const std::string ending = lower_ascii(path.extension().string());
  if (ending == ".csv") {
    table.captions_ = from_csv(path, columns);
  } else if (ending == ".jsonl" || ending == ".json") {
    table.captions_ = from_json(path, columns);
  } else {
    fail_usage(path.string(), ": ending '", ending, "', expected .csv, .jsonl or .json",
               "; convert it to one of them");
  }
  return table;
}

const Caption* CaptionTable::entry(const std::string& name) const {
  const auto at = captions_.find(plain_name(name));
  return at == captions_.end() ? nullptr : &at->second;
}

TableCaptions::TableCaptions(const std::vector<CaptionTable>& tables,
                             const std::vector<ImageFile>& pictures, const Path& root) {
  const PictureNames names(pictures, root);
  for (const CaptionTable& table : tables) {
    for (const auto& [name, entry] : table.captions()) {
      const Caption caption{trim(entry.text), entry.source, entry.of};
      const auto& found = names.find(name, table.folder());
      if (found.size() > 1) {
        fail_usage(caption.source, ": '", name, "' means ", found.size(), " pictures (found ",
                   found[0]->relative, " and ", found[1]->relative,
                   "); write its folder and ending");
      }
      if (found.empty()) without_picture_.push_back(name);
      if (found.empty() || caption.text.empty()) continue;
      const auto [at, fresh] = captions_.try_emplace(found[0]->relative, caption);
      if (!fresh && at->second.text != caption.text) fail_twice(name, at->second, caption);
    }
  }
}

const Caption* TableCaptions::of(const ImageFile& picture) const {
  const auto at = captions_.find(picture.relative);
  return at == captions_.end() ? nullptr : &at->second;
}

}  // namespace lora
