// SPDX-License-Identifier: Apache-2.0
// Where a picture's caption comes from, in this order; the first that has one wins:
//   1. a table (caption_table.h): the one that is named, else metadata.csv / .jsonl of each folder
//   2. a file beside it: NAME.txt, NAME.png.txt, NAME.caption, NAME.json
//   3. text inside the picture: PNG chunks (WebUI "parameters": its prompt; Description, Caption,
//      prompt), EXIF ImageDescription / UserComment / XPComment, IPTC Caption, XMP description; not
//      what cameras and programs write there of themselves
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

#include "data/caption_table.h"
#include "data/image_files.h"
#include "io/image.h"

namespace lora {

// Draws a caption for a picture that has none (a captioning model).
using Captioner = std::function<std::string(const Image&)>;

// Text inside the file (3 above). Never throws for a damaged block: there is just no caption.
std::optional<Caption> embedded_caption(const Path& path,
                                        const std::map<std::string, std::string>& png_text);

// True for what cameras and programs write of themselves: "OLYMPUS DIGITAL CAMERA", "Created with
// GIMP", "Screenshot", a row of numbers.
bool is_program_text(const std::string& text);

// The files beside the picture (2 above). Throws Error where one is not UTF-8, empty or not JSON.
std::optional<Caption> sidecar_caption(const ImageFile& picture);

// The whole order. `embedded` is the result of embedded_caption; `model` draws a caption when
// nothing else has one, and may be empty.
Caption find_caption(const ImageFile& file, const TableCaptions& tables,
                     const std::optional<Caption>& embedded,
                     const std::function<std::string()>& model);

}  // namespace lora
