// SPDX-License-Identifier: Apache-2.0
// The preprocessing engine for pictures: which files of a folder are used, at which size, with
// which caption, and what is wrong with the others. `lora prepare images` writes the result down;
// training uses it directly. Originals are never touched.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/groups.h"
#include "data/buckets.h"
#include "data/caption_rules.h"
#include "data/captions.h"
#include "data/image_checks.h"

namespace lora {

struct ImageDataOptions {
  Path folder;
  Path metadata;         // a table; empty: metadata.csv or metadata.jsonl of each folder
  CaptionColumns columns;
  Path result;           // a metadata file of the folder that is written, not read (`lora label`)
  ImageConfig images;    // sizes: resolution, buckets and what belongs to them
  bool upscale = false;  // enlarge pictures that are too small
  bool smart_crop = false;
  bool keep_duplicates = false;
  double min_sharpness = 0;  // below: left out; 0 = only warned of (below 30)
  Colour background = {255, 255, 255};
  CaptionRules captions;
  Captioner captioner;  // empty: no model
  std::string captioner_name;
};

enum class PictureVerdict { used, too_small, duplicate, blurred, broken };
std::string_view picture_verdict_name(PictureVerdict verdict);

struct ImageRecord {
  ImageFile file;
  PictureVerdict verdict = PictureVerdict::used;
  std::string problem;             // why it is not used, in words
  std::vector<std::string> notes;  // what was done or noticed: "rotated (EXIF)", "blurred", ...
  std::string sha256;              // of the file's bytes
  Size size;                       // upright
  Fit fit;
  PictureMark mark;
  double sharpness = 0;
  PictureLook look;
  Caption found;        // as it was found, with its source
  std::string caption;  // after the rules
};

// The folder as the user wrote it, and the picture in it.
std::string path_of(const ImageRecord& record);

struct ImageScan {
  std::vector<ImageRecord> records;   // in the order of list_images
  std::vector<std::string> warnings;  // about the folder as a whole, and what was left out

  std::vector<const ImageRecord*> used() const&;  // point into `records`
  std::vector<const ImageRecord*> used() && = delete;
};

// What a look at the pixels tells, by the SHA-256 of the file. Kept between runs, it makes a
// second run cheap.
struct ImageFacts {
  Size size;
  PictureMark mark;
  double sharpness = 0;
  PictureLook look;
  std::vector<std::string> notes;
  std::optional<Caption> embedded;
  std::map<std::string, std::string> model_captions;  // by options.captioner_name
};
using ImageFactsCache = std::map<std::string, ImageFacts>;

// Called after each file, one call at a time, while nothing changes the cache: what is being done
// ("looking at pictures"), files done, files in all.
using ImageProgress = std::function<void(std::string_view what, std::size_t done, std::size_t all)>;

// Reads every picture once, several at a time. A broken file never stops the run. Throws Error
// (usage) where no picture can be used, naming what was wrong. Facts are taken from `cache` and
// added to it.
ImageScan scan_images(const ImageDataOptions& options, ImageFactsCache& cache,
                      const ImageProgress& progress = {});

// The pixels that training sees: decoded, upright, sRGB, flattened, resized, cropped.
Image training_image(const ImageRecord& record, const ImageDataOptions& options);

// SHA-256 of every option that changes pixels.
std::string pixel_settings(const ImageDataOptions& options);

}  // namespace lora
