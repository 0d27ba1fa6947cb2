// SPDX-License-Identifier: Apache-2.0
#include "data/image_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/parallel.h"
#include "base/text.h"
#include "data/caption_report.h"
#include "data/picture_index.h"

namespace lora {
namespace {

constexpr double kBlurred = 30;

constexpr std::array<std::string_view, 5> kVerdicts = {"used", "too small", "duplicate", "blurred",
                                                       "broken"};

Fit fit_of(const ImageDataOptions& options, Size size) {
  const ImageConfig& images = options.images;
  const auto side = static_cast<int>(images.resolution);
  if (!images.buckets) return fit_square(side, size);
  return fit_bucket({.resolution = side,
                     .min_size = static_cast<int>(images.bucket_min),
                     .max_size = static_cast<int>(images.bucket_max),
                     .step = static_cast<int>(images.bucket_step),
                     .no_upscale = !options.upscale},
                    size);
}

std::int64_t least_side(const ImageDataOptions& options) {
  return options.images.buckets ? options.images.bucket_min : options.images.resolution;
}

bool is_too_small(const ImageDataOptions& options, Size size) {
  return !options.upscale && std::min(size.width, size.height) < least_side(options);
}

std::vector<std::string> what_was_done(const DecodedImage& decoded) {
  std::vector<std::string> notes;
  if (decoded.was_rotated) notes.emplace_back("rotated (EXIF)");
  if (decoded.was_converted) notes.emplace_back("converted to sRGB");
  if (decoded.had_alpha) notes.emplace_back("transparency flattened");
  if (decoded.pages > 1) notes.push_back(join("first of ", decoded.pages, " frames"));
  return notes;
}

ImageFacts facts_of(const Path& path, const DecodedImage& decoded) {
  ImageFacts facts;
  facts.size = {decoded.image.width, decoded.image.height};
  const Image small = for_measures(decoded.image);
  facts.mark = {difference_hash(small), mosaic_of(small)};
  facts.sharpness = sharpness(small);
  facts.look = look_of(small);
  facts.notes = what_was_done(decoded);
  facts.embedded = embedded_caption(path, decoded.text);
  return facts;
}

void set_aside(ImageRecord& record, PictureVerdict verdict, std::string problem) {
  record.verdict = verdict;
  record.problem = std::move(problem);
}

void judge(ImageRecord& record, const ImageDataOptions& options) {
  if (is_too_small(options, record.size)) {
    set_aside(
        record, PictureVerdict::too_small,
        join(record.size.width, "x", record.size.height, " is smaller than ", least_side(options),
             "; lower the resolution, or enlarge it (`lora prepare images --upscale`)"));
    return;
  }
  if (record.sharpness < options.min_sharpness) {
    set_aside(record, PictureVerdict::blurred,
              fmt::format("sharpness {:.0f}, expected at least {:.0f}", record.sharpness,
                          options.min_sharpness));
    return;
  }
  try {
    record.fit = fit_of(options, record.size);
  } catch (const Error&) {
    set_aside(record, PictureVerdict::too_small,
              join(record.size.width, "x", record.size.height, " at the area of ",
                   options.images.resolution, "x", options.images.resolution,
                   " has a side shorter than a bucket step (", options.images.bucket_step,
                   "); lower the step, or crop the picture"));
  }
}

// "FOLDER/a.jpg: not a picture" -> "not a picture": the record names the file.
std::string without_path(const std::string& text, const ImageFile& file) {
  const std::string head = file.path.string() + ": ";
  return text.starts_with(head) ? text.substr(head.size()) : text;
}

// The part of a scan that takes time and needs nothing but the file.
class Looker {
 public:
  Looker(const ImageDataOptions& options, ImageFactsCache& cache, const ImageProgress& progress)
      : options_(options), cache_(cache), progress_(progress) {}

  void look_at_all(std::vector<ImageRecord>& records) {
    parallel_for(records.size(), [&](std::size_t i) {
      ImageRecord& record = records[i];
      try {
        look_at(record);
      } catch (const Error& error) {
        set_aside(record, PictureVerdict::broken, without_path(error.what(), record.file));
      }
      const std::lock_guard lock(mutex_);
      if (progress_) progress_("looking at pictures", ++done_, records.size());
    });
  }

 private:
  void look_at(ImageRecord& record) {
    if (!record.file.problem.empty()) fail(record.file.problem);
    record.sha256 = sha256_file(record.file.path);
    {
      const std::lock_guard lock(mutex_);
      if (cache_.contains(record.sha256)) return;
    }
    const DecodedImage decoded = read_image(record.file.path, {.background = options_.background});
    ImageFacts facts = facts_of(record.file.path, decoded);
    const std::lock_guard lock(mutex_);
    cache_.try_emplace(record.sha256, std::move(facts));
  }

  const ImageDataOptions& options_;
  ImageFactsCache& cache_;
  const ImageProgress& progress_;
  std::mutex mutex_;  // over cache_, done_ and the calls of progress_
  std::size_t done_ = 0;
};

void take_facts(ImageRecord& record, const ImageFacts& facts) {
  record.size = facts.size;
  record.mark = facts.mark;
  record.sharpness = facts.sharpness;
  record.look = facts.look;
  record.notes = facts.notes;
  if (record.sharpness < kBlurred) {
    record.notes.push_back(fmt::format("looks blurred (sharpness {:.0f})", record.sharpness));
  }
}

void find_text(ImageRecord& record, const ImageDataOptions& options, const TableCaptions& tables,
               ImageFacts& facts) {
  std::function<std::string()> model;
  if (options.captioner) {
    model = [&] {
      const auto known = facts.model_captions.find(options.captioner_name);
      if (known != facts.model_captions.end()) return known->second;
      const ImageOptions flatten{.background = options.background};
      const Image image = read_image(record.file.path, flatten).image;
      return facts.model_captions[options.captioner_name] = options.captioner(image);
    };
  }
  record.found = find_caption(record.file, tables, facts.embedded, model);
  record.caption = apply_rules(record.found.text, options.captions);
}

void fill_record(ImageRecord& record, const ImageDataOptions& options, const TableCaptions& tables,
                 ImageFactsCache& cache) {
  if (record.verdict == PictureVerdict::broken) return;
  try {
    ImageFacts& facts = cache.at(record.sha256);
    take_facts(record, facts);
    judge(record, options);
    if (record.verdict == PictureVerdict::used) find_text(record, options, tables, facts);
  } catch (const Error& error) {
    set_aside(record, PictureVerdict::broken, without_path(error.what(), record.file));
  }
}

// Exact copies (same bytes) are left out but for the first; near-duplicates are only noted.
void find_duplicates(std::vector<ImageRecord>& records, bool keep) {
  std::map<std::string, const ImageRecord*> exact;
  std::vector<const ImageRecord*> kept;
  PictureIndex index;  // of `kept`
  for (ImageRecord& record : records) {
    if (record.verdict != PictureVerdict::used) continue;
    const auto [first, fresh] = exact.try_emplace(record.sha256, &record);
    if (!fresh && !keep) {
      record.verdict = PictureVerdict::duplicate;
      record.problem = "the same file as " + first->second->file.relative;
      continue;
    }
    if (const auto like = index.find(record.mark)) {
      record.notes.push_back("looks like " + kept[*like]->file.relative);
    }
    index.add(record.mark);
    kept.push_back(&record);
  }
}

void add_warnings(ImageScan& scan, const ImageDataOptions& options, const TableCaptions& tables) {
  std::size_t small = 0;
  for (const ImageRecord& record : scan.records) {
    small += record.verdict == PictureVerdict::too_small;
  }
  if (const auto& missing = tables.without_picture(); !missing.empty()) {
    scan.warnings.push_back(join(
        missing.size(), " entries of the metadata have no picture (first: ", missing.front(), ")"));
  }
  if (small * 2 > scan.records.size()) {
    scan.warnings.push_back(join(small, " of ", scan.records.size(), " pictures are smaller than ",
                                 least_side(options),
                                 "; a lower resolution would use them, upscaling blurs them"));
  }
  for (std::string& warning : caption_warnings(scan.used())) {
    scan.warnings.push_back(std::move(warning));
  }
}

// The table that is named, else those of the folders, but for the one that is being written.
std::vector<CaptionTable> read_tables(const ImageDataOptions& options, const ImageFolder& found) {
  if (!options.metadata.empty()) return {CaptionTable::read(options.metadata, options.columns)};
  const auto plain = [](const Path& path) {
    return std::filesystem::weakly_canonical(path).replace_extension();
  };
  std::vector<CaptionTable> tables;
  for (const Path& path : found.tables) {
    if (!options.result.empty() && plain(options.result) == plain(path)) continue;
    tables.push_back(CaptionTable::read(path, options.columns));
  }
  return tables;
}

[[noreturn]] void fail_without_pictures(const ImageScan& scan, const Path& folder) {
  std::string text =
      join(folder.string(), ": none of ", scan.records.size(), " pictures can be used:");
  std::size_t shown = 0;
  for (const ImageRecord& record : scan.records) {
    if (++shown > 5) break;
    text += join("\n  ", record.file.relative, ": ", record.problem);
  }
  if (scan.records.size() > 5) text += join("\n  and ", scan.records.size() - 5, " more");
  fail_usage(text);
}

}  // namespace

std::string_view picture_verdict_name(PictureVerdict verdict) {
  return kVerdicts[static_cast<std::size_t>(verdict)];
}

std::string path_of(const ImageRecord& record) {
  return record.file.path.lexically_normal().generic_string();
}

std::vector<const ImageRecord*> ImageScan::used() const& {
  std::vector<const ImageRecord*> list;
  for (const ImageRecord& record : records) {
    if (record.verdict == PictureVerdict::used) list.push_back(&record);
  }
  return list;
}

ImageScan scan_images(const ImageDataOptions& options, ImageFactsCache& cache,
                      const ImageProgress& progress) {
  const ImageFolder found = list_images(options.folder);
  const TableCaptions tables(read_tables(options, found), found.pictures, options.folder);
  ImageScan scan;
  scan.warnings = found.left_out;
  for (const ImageFile& file : found.pictures) scan.records.push_back({.file = file});
  Looker(options, cache, progress).look_at_all(scan.records);
  std::size_t done = 0;
  for (ImageRecord& record : scan.records) {
    fill_record(record, options, tables, cache);
    if (options.captioner && progress) progress("captions", ++done, scan.records.size());
  }
  find_duplicates(scan.records, options.keep_duplicates);
  add_warnings(scan, options, tables);
  if (scan.used().empty()) fail_without_pictures(scan, options.folder);
  return scan;
}

Image training_image(const ImageRecord& record, const ImageDataOptions& options) {
  if (!record.sha256.empty() && sha256_file(record.file.path) != record.sha256) {
    fail(record.file.path.string(),
         ": was changed since it was looked at; put the old one back and go on, or begin anew");
  }
  const Image image = read_image(record.file.path, {.background = options.background}).image;
  if (!options.smart_crop) return apply_fit(image, record.fit);
  const Image resized = resize(image, record.fit.resized.width, record.fit.resized.height);
  return crop_attention(resized, record.fit.bucket.width, record.fit.bucket.height);
}

std::string pixel_settings(const ImageDataOptions& options) {
  const ImageConfig& i = options.images;
  return sha256(fmt::format("1|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", i.buckets, i.resolution,
                            i.bucket_min, i.bucket_max, i.bucket_step, options.upscale,
                            options.smart_crop, options.background[0], options.background[1],
                            options.background[2]));
}

}  // namespace lora
