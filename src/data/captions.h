// SPDX-License-Identifier: Apache-2.0
// Where a picture's caption comes from, in this order; the first that has one wins:
//   1. metadata.csv / metadata.jsonl (column file_name|filename|image, text|caption|prompt)
//   2. a file beside it: NAME.txt, NAME.caption
//   3. text inside the picture: PNG chunks (WebUI "parameters": its prompt; Description, Caption,
//      prompt), EXIF ImageDescription / UserComment / XPComment, IPTC Caption, XMP description
//   4. a captioning model, where one is given
//   5. the name of its "N_name" folder; else its own file name without numbers, sizes ("640x480")
//      and what cameras write (IMG_1234, DSC_1234, Screenshot); where nothing is left, the name of
//      its folder, unless that is one like "images" or "train"; else none
// Every caption keeps the name of its source.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/image_files.h"
#include "io/image.h"

namespace lora {

struct Caption {
  std::string text;
  std::string
      source;  // "metadata.csv:4", "09.txt", "png:parameters", "model", "folder", "file name"
};

struct CaptionRules {
  std::string trigger;  // put first where the caption does not hold it yet
  std::string prefix, suffix;
  bool clean = true;  // WebUI weights "(x:1.2)", <lora:...>, repeated tags, blanks
};

// Captions of a metadata file by relative file name.
class CaptionTable {
 public:
  CaptionTable() = default;
  // `path`: a .csv or .jsonl file. Throws Error with file and line for what is broken: no such
  // column, a name twice with different captions, not JSON, not UTF-8.
  static CaptionTable read(const Path& path);
  // metadata.csv, else metadata.jsonl of the folder; an empty table where there is neither.
  // `except`: not this file, nor the one that differs from it by its ending only.
  static CaptionTable find(const Path& folder, const Path& except = {});

  std::optional<Caption> of(const ImageFile& file) const;
  // The entry of just this name, empty captions too.
  const Caption* entry(const std::string& name) const;
  // Entries whose picture is not among `files`.
  std::vector<std::string> without_picture(const std::vector<ImageFile>& files) const;

 private:
  std::map<std::string, Caption> captions_;
};

// Draws a caption for a picture that has none (a captioning model).
using Captioner = std::function<std::string(const Image&)>;

// Text inside the file (3 above). Never throws for a damaged block: there is just no caption.
std::optional<Caption> embedded_caption(const Path& path,
                                        const std::map<std::string, std::string>& png_text);

// The file beside the picture (2 above). Throws Error where it is not UTF-8 or empty.
std::optional<Caption> sidecar_caption(const Path& picture);

// The whole order. `embedded` is the result of embedded_caption; `model` draws a caption when
// nothing else has one, and may be empty.
Caption find_caption(const ImageFile& file, const CaptionTable& table,
                     const std::optional<Caption>& embedded,
                     const std::function<std::string()>& model);

// Cleaning, then trigger, prefix and suffix.
std::string apply_rules(const std::string& caption, const CaptionRules& rules);

}  // namespace lora
