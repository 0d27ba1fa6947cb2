// SPDX-License-Identifier: Apache-2.0
#include "data/captions.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/text.h"
#include "base/utf8.h"

namespace lora {
namespace {

using Json = nlohmann::json;

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
  for (const std::string& word : split(name, ' ')) {
    if (!word.empty() && !is_number(word)) kept.push_back(word);
  }
  return std::ranges::all_of(kept, is_generic) ? "" : join_words(kept, " ");
}

// The whole text of a caption file.
std::string read_text(const Path& path) {
  const std::string content = read_file(path);
  check_utf8(content, path.string());
  const std::string text = trim(without_bom(content));
  if (text.empty()) fail_usage(path.string(), ": is empty; write a caption or remove the file");
  return text;
}

std::optional<Caption> caption_in_file(const Path& path) {
  const std::string text = read_text(path);
  const std::string name = path.filename().string();
  if (lower_ascii(path.extension().string()) != ".json") return Caption{text, name};
  const auto json = try_parse_json<Json>(text);
  if (!json) {
    fail_usage(path.string(), ": is not JSON; write {\"caption\": \"...\"} or remove the file");
  }
  auto caption = json->is_object() ? caption_in(*json) : std::nullopt;
  if (!caption || trim(caption->text).empty()) return std::nullopt;
  caption->source = name;
  return caption;
}

}  // namespace

std::optional<Caption> sidecar_caption(const ImageFile& picture) {
  for (const Path& path : picture.beside) {
    if (auto caption = caption_in_file(path)) return caption;
  }
  return std::nullopt;
}

Caption find_caption(const ImageFile& file, const TableCaptions& tables,
                     const std::optional<Caption>& embedded,
                     const std::function<std::string()>& model) {
  if (const Caption* caption = tables.of(file)) return *caption;
  if (const auto caption = sidecar_caption(file)) return *caption;
  if (embedded && !is_program_text(embedded->text)) return *embedded;
  if (model) return {model(), "model"};
  if (!file.concept_name.empty()) return {file.concept_name, "folder"};
  const std::string words = words_of_name(file.path.stem().string());
  if (!words.empty()) return {words, "file name"};
  const Path folder = std::filesystem::weakly_canonical(file.path).parent_path();
  const std::string above = words_of_name(folder.filename().string());
  return {above, above.empty() ? "none" : "folder"};
}

}  // namespace lora
