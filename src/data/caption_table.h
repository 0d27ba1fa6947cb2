// SPDX-License-Identifier: Apache-2.0
// Tables of captions: metadata.csv, metadata.jsonl, and JSON as kohya sd-scripts writes it. A table
// names pictures relative to its own folder, to the folder of the pictures or the one above it, by
// full paths, or by bare names where only one picture has the name; endings may be absent.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/image_files.h"

namespace lora {

struct Caption {
  std::string text;
  std::string
      source;  // "metadata.csv:4", "09.txt", "png:parameters", "model", "folder", "file name"
  std::size_t of = 1;  // captions that stood there; the first is `text`
};

// Names of columns that are not the usual ones, by role: "image", "caption".
using CaptionColumns = std::map<std::string, std::string>;

class CaptionTable {
 public:
  CaptionTable() = default;
  // `path`: a .csv, .jsonl or .json file. Throws Error with file and line for what is broken: no
  // such column, a name twice with different captions, not JSON, not UTF-8.
  static CaptionTable read(const Path& path, const CaptionColumns& columns = {});

  const Path& folder() const { return folder_; }
  // Captions by the name of the picture, empty ones too.
  const std::map<std::string, Caption>& captions() const { return captions_; }
  // The entry of just this name.
  const Caption* entry(const std::string& name) const;

 private:
  Path folder_;
  std::map<std::string, Caption> captions_;
};

// Which of the pictures below `root` the entries of tables mean.
class TableCaptions {
 public:
  TableCaptions() = default;
  // Throws Error (usage) where a name means several pictures, or a picture has two captions.
  TableCaptions(const std::vector<CaptionTable>& tables, const std::vector<ImageFile>& pictures,
                const Path& root);

  // Not empty. nullptr: no table has one.
  const Caption* of(const ImageFile& picture) const;
  // Entries without a picture.
  const std::vector<std::string>& without_picture() const { return without_picture_; }

 private:
  std::map<std::string, Caption> captions_;  // by ImageFile::relative
  std::vector<std::string> without_picture_;
};

// The caption in a JSON object: the column of the role "caption", else text, caption, prompt or
// description; "tags" stand behind it. Of a list of captions the first.
std::optional<Caption> caption_in(const nlohmann::json& object, const CaptionColumns& columns = {});

}  // namespace lora
