// SPDX-License-Identifier: Apache-2.0
#include "data/captions.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json_text.h"
#include "base/text.h"
#include "base/utf8.h"
#include "io/csv.h"

namespace lora {
namespace {

using Json = nlohmann::json;

const std::vector<std::string> kFileColumns = {"file_name", "filename", "image", "file", "path"};
const std::vector<std::string> kTextColumns = {"text", "caption", "prompt", "description"};

void insert(std::map<std::string, Caption>& captions, const std::string& name,
            const std::string& text, const std::string& where) {
  const std::string key = Path(name).lexically_normal().generic_string();
  const auto [at, fresh] = captions.try_emplace(key, Caption{text, where});
  if (!fresh && at->second.text != text) {
    fail_usage(where, ": '", name, "' has another caption at ", at->second.source,
               "; keep one of the two");
  }
}

// How a table may name a picture: below the folder, without folders, or with its full path.
std::vector<std::string> names_of(const ImageFile& file) {
  return {file.relative, Path(file.relative).filename().string(),
          std::filesystem::absolute(file.path).lexically_normal().generic_string()};
}

std::map<std::string, Caption> from_csv(const Path& path) {
  const CsvTable table = read_csv(path);
  const auto file = table.column(kFileColumns);
  const auto text = table.column(kTextColumns);
  if (!file || !text) {
    fail_usage(path.string(), ":1: no column for the ", file ? "caption" : "file name", " (found ",
               join_words(table.header), "; expected ",
               join_words(file ? kTextColumns : kFileColumns),
               "); name the columns in the first line");
  }
  std::map<std::string, Caption> captions;
  for (const CsvRow& row : table.rows) {
    insert(captions, row.cells[*file], row.cells[*text],
           join(path.filename().string(), ":", row.line));
  }
  return captions;
}

std::optional<std::string> text_member(const Json& json, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (json.contains(name) && json[name].is_string()) return json[name].get<std::string>();
  }
  return std::nullopt;
}

std::map<std::string, Caption> from_jsonl(const Path& path) {
  const std::string content = read_file(path);
  check_utf8(content, path.string());
  std::map<std::string, Caption> captions;
  int line = 0;
  for (const std::string& text : split(without_bom(content), '\n')) {
    ++line;
    if (trim(text).empty()) continue;
    const Json json = try_parse_json<Json>(text).value_or(Json());
    if (!json.is_object()) {
      fail_usage(path.string(), ":", line, ": not a JSON object; write one object a line");
    }
    const auto file = text_member(json, kFileColumns);
    const auto caption = text_member(json, kTextColumns);
    if (!file || !caption) {
      std::vector<std::string> found;
      for (const auto& [name, unused] : json.items()) found.push_back(name);
      fail_usage(path.string(), ":", line, ": no ", file ? "caption" : "file name", " (found ",
                 join_words(found), ", expected one of ",
                 join_words(file ? kTextColumns : kFileColumns), "); add it");
    }
    insert(captions, *file, *caption, join(path.filename().string(), ":", line));
  }
  return captions;
}

// "(word:1.2)" -> "word", "((word))" -> "word", "[word]" -> "word"; "\(" stays a bracket.
std::string without_weights(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size() &&
        std::string_view("()[]").find(text[i + 1]) != std::string_view::npos) {
      out += text[++i];
    } else if (c == ':' && i + 1 < text.size()) {
      const std::size_t end = text.find_first_not_of("0123456789.", i + 1);
      const bool weight = end != std::string::npos && end > i + 1 && text[end] == ')';
      if (weight) {
        i = end;
      } else {
        out += c;
      }
    } else if (std::string_view("()[]").find(c) == std::string_view::npos) {
      out += c;
    }
  }
  return out;
}

// "<lora:name:0.8>" goes.
std::string without_networks(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.front() == '<' ? text.find_first_of("<>", 1) : text.find('<');
    const std::string_view inside = text.substr(text.front() == '<' ? 1 : 0);
    const bool network = inside.starts_with("lora:") || inside.starts_with("lyco:") ||
                         inside.starts_with("hypernet:");
    const bool closed = text.front() == '<' && end != text.npos && text[end] == '>';
    const std::size_t size = closed ? end + 1 : std::min(end, text.size());
    if (!closed || !network) out += text.substr(0, size);
    text.remove_prefix(size);
  }
  return out;
}

std::string one_blank(const std::string& text) {
  std::string out;
  for (char c : text) {
    const char blank = c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
    if (blank == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += blank;
  }
  return trim(out);
}

// A tag list loses its repeated and empty tags; a sentence keeps its commas.
std::string unique_tags(const std::string& text) {
  std::vector<std::string> kept;
  std::set<std::string> seen;
  for (const std::string& part : split(text, ',')) {
    const std::string tag = trim(part);
    if (!tag.empty() && seen.insert(lower_ascii(tag)).second) kept.push_back(tag);
  }
  return join_words(kept);
}

// "007", "640x480", "(2)"
bool is_number(const std::string& word) {
  return word.find_first_not_of("0123456789x().") == std::string::npos;
}

// What cameras, programs and people write where they describe nothing: "IMG", "DSC01234".
bool is_generic(const std::string& word) {
  constexpr std::string_view kWords[] = {
      "img",     "image",    "images",     "dsc",      "dscn", "dscf", "pxl", "photo",
      "photos",  "pic",      "pics",       "picture",  "copy", "scan", "raw", "pictures",
      "dataset", "instance", "screenshot", "untitled", "data", "temp", "tmp", "train",
      "input",   "output",   "final",      "class",    "test", "val"};
  const std::string lower = lower_ascii(word);
  const std::size_t digits = lower.find_last_not_of("0123456789");
  return std::ranges::find(kWords, lower.substr(0, digits + 1)) != std::end(kWords);
}

// "01_red_lamp-640x480" -> "red lamp"; "IMG_0001", "train" -> "".
std::string words_of_name(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '_' || c == '-'; }, ' ');
  std::vector<std::string> kept;
  for (const std::string& word : split(one_blank(name), ' ')) {
    if (!is_number(word)) kept.push_back(word);
  }
  return std::ranges::all_of(kept, is_generic) ? "" : join_words(kept, " ");
}

}  // namespace

CaptionTable CaptionTable::read(const Path& path) {
  CaptionTable table;
  const std::string ending = lower_ascii(path.extension().string());
  if (ending == ".csv") {
    table.captions_ = from_csv(path);
  } else if (ending == ".jsonl" || ending == ".json") {
    table.captions_ = from_jsonl(path);
  } else {
    fail_usage(path.string(), ": ending '", ending, "', expected .csv or .jsonl");
  }
  return table;
}

CaptionTable CaptionTable::find(const Path& folder, const Path& except) {
  const auto plain = [](const Path& path) {
    return std::filesystem::weakly_canonical(path).replace_extension();
  };
  if (!except.empty() && plain(except) == plain(folder / "metadata.csv")) return {};
  for (const char* name : {"metadata.csv", "metadata.jsonl"}) {
    if (std::filesystem::exists(folder / name)) return read(folder / name);
  }
  return {};
}

const Caption* CaptionTable::entry(const std::string& name) const {
  const auto at = captions_.find(name);
  return at == captions_.end() ? nullptr : &at->second;
}

std::optional<Caption> CaptionTable::of(const ImageFile& file) const {
  for (const std::string& key : names_of(file)) {
    const auto at = captions_.find(key);
    if (at != captions_.end() && !trim(at->second.text).empty()) return at->second;
  }
  return std::nullopt;
}

std::vector<std::string> CaptionTable::without_picture(const std::vector<ImageFile>& files) const {
  std::set<std::string> names;
  for (const ImageFile& file : files) {
    for (const std::string& name : names_of(file)) names.insert(name);
  }
  std::vector<std::string> missing;
  for (const auto& [name, caption] : captions_) {
    if (!names.contains(name)) missing.push_back(name);
  }
  return missing;
}

std::optional<Caption> sidecar_caption(const Path& picture) {
  for (const char* ending : {".txt", ".caption"}) {
    const Path path = Path(picture).replace_extension(ending);
    std::error_code ignored;  // a name that is too long is the name of no file
    if (!std::filesystem::exists(path, ignored)) continue;
    const std::string content = read_file(path);
    check_utf8(content, path.string());
    const std::string text = trim(without_bom(content));
    if (text.empty()) fail_usage(path.string(), ": is empty; write a caption or remove the file");
    return Caption{text, path.filename().string()};
  }
  return std::nullopt;
}

Caption find_caption(const ImageFile& file, const CaptionTable& table,
                     const std::optional<Caption>& embedded,
                     const std::function<std::string()>& model) {
  if (const auto caption = table.of(file)) return *caption;
  if (const auto caption = sidecar_caption(file.path)) return *caption;
  if (embedded) return *embedded;
  if (model) return {model(), "model"};
  if (!file.concept_name.empty()) return {file.concept_name, "folder"};
  const std::string words = words_of_name(file.path.stem().string());
  if (!words.empty()) return {words, "file name"};
  const Path folder = std::filesystem::weakly_canonical(file.path).parent_path();
  const std::string above = words_of_name(folder.filename().string());
  return {above, above.empty() ? "none" : "folder"};
}

std::string apply_rules(const std::string& caption, const CaptionRules& rules) {
  std::string text = caption;
  if (rules.clean) text = unique_tags(one_blank(without_weights(without_networks(text))));
  const bool missing = !rules.trigger.empty() &&
                       lower_ascii(text).find(lower_ascii(rules.trigger)) == std::string::npos;
  if (missing) text = text.empty() ? rules.trigger : rules.trigger + ", " + text;
  return rules.prefix + text + rules.suffix;
}

}  // namespace lora
