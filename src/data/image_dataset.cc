// SPDX-License-Identifier: Apache-2.0
#include "data/image_dataset.h"

#include <fmt/format.h>

#include <array>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "data/image_checks.h"

namespace lora {
namespace {

constexpr double kBlurred = 30;
constexpr int kNear = 4;  // of 64 bits

constexpr std::array<std::string_view, 5> kVerdicts = {"used", "too small", "duplicate", "blurred",
                                                       "broken"};

Fit fit_of(const ImageDataOptions& options, Size size) {
  BucketRule rule = options.rule;
  rule.no_upscale = !options.upscale;
  return options.buckets ? fit_bucket(rule, size) : fit_square(rule.resolution, size);
}

bool is_too_small(const ImageDataOptions& options, Size size) {
  if (options.upscale) return false;
  const int least = options.buckets ? options.rule.min_size : options.rule.resolution;
  return std::min(size.width, size.height) < least;
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
  facts.hash = difference_hash(decoded.image);
  facts.sharpness = sharpness(decoded.image);
  facts.notes = what_was_done(decoded);
  facts.embedded = embedded_caption(path, decoded.text);
  return facts;
}

void judge(ImageRecord& record, const ImageDataOptions& options) {
  if (is_too_small(options, record.size)) {
    record.verdict = PictureVerdict::too_small;
    const int least = options.buckets ? options.rule.min_size : options.rule.resolution;
    record.problem = join(record.size.width, "x", record.size.height, " is smaller than ", least,
                          "; allow upscaling, or lower the resolution");
    return;
  }
  if (record.sharpness < options.min_sharpness) {
    record.verdict = PictureVerdict::blurred;
    record.problem = fmt::format("sharpness {:.0f}, expected at least {:.0f}", record.sharpness,
                                 options.min_sharpness);
    return;
  }
  record.fit = fit_of(options, record.size);
}

ImageFacts& look_at(ImageRecord& record, const ImageDataOptions& options, ImageFactsCache& cache) {
  record.sha256 = sha256_file(record.file.path);
  const auto known = cache.find(record.sha256);
  if (known != cache.end()) return known->second;
  const DecodedImage decoded = read_image(record.file.path, {.background = options.background});
  return cache[record.sha256] = facts_of(record.file.path, decoded);
}

void fill_record(ImageRecord& record, const ImageDataOptions& options, const CaptionTable& table,
                 ImageFactsCache& cache) {
  ImageFacts& facts = look_at(record, options, cache);
  record.size = facts.size;
  record.hash = facts.hash;
  record.sharpness = facts.sharpness;
  record.notes = facts.notes;
  if (record.sharpness < kBlurred) {
    record.notes.push_back(fmt::format("looks blurred (sharpness {:.0f})", record.sharpness));
  }
  std::function<std::string()> model;
  if (options.captioner) {
    model = [&] {
      if (!facts.model_caption) {
        const ImageOptions flatten{.background = options.background};
        facts.model_caption = options.captioner(read_image(record.file.path, flatten).image);
      }
      return *facts.model_caption;
    };
  }
  record.found = find_caption(record.file, table, facts.embedded, model);
  record.caption = apply_rules(record.found.text, options.captions);
  judge(record, options);
}

ImageRecord read_record(const ImageFile& file, const ImageDataOptions& options,
                        const CaptionTable& table, ImageFactsCache& cache) {
  ImageRecord record{.file = file};
  try {
    fill_record(record, options, table, cache);
  } catch (const Error& error) {
    record.verdict = PictureVerdict::broken;
    record.problem = error.what();
  }
  return record;
}

// Exact copies (same bytes) are left out but for the first; near-duplicates are only noted.
void find_duplicates(std::vector<ImageRecord>& records, bool keep) {
  std::map<std::string, const ImageRecord*> exact;
  std::vector<const ImageRecord*> kept;
  for (ImageRecord& record : records) {
    if (record.verdict != PictureVerdict::used) continue;
    const auto [first, fresh] = exact.try_emplace(record.sha256, &record);
    if (!fresh && !keep) {
      record.verdict = PictureVerdict::duplicate;
      record.problem = "the same file as " + first->second->file.relative;
      continue;
    }
    for (const ImageRecord* other : kept) {
      if (hamming(record.hash, other->hash) > kNear) continue;
      record.notes.push_back("looks like " + other->file.relative);
      break;
    }
    kept.push_back(&record);
  }
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
  fail(text);
}

}  // namespace

std::string_view picture_verdict_name(PictureVerdict verdict) {
  return kVerdicts[static_cast<std::size_t>(verdict)];
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
  const std::vector<ImageFile> files = list_images(options.folder);
  const CaptionTable table = options.metadata.empty() ? CaptionTable::find(options.folder)
                                                      : CaptionTable::read(options.metadata);
  ImageScan scan;
  for (const ImageFile& file : files) {
    scan.records.push_back(read_record(file, options, table, cache));
    if (progress) progress(scan.records.size(), files.size());
  }
  find_duplicates(scan.records, options.keep_duplicates);
  const std::vector<std::string> missing = table.without_picture(files);
  if (!missing.empty()) {
    scan.warnings.push_back(join(
        missing.size(), " entries of the metadata have no picture (first: ", missing.front(), ")"));
  }
  if (scan.used().empty()) fail_without_pictures(scan, options.folder);
  return scan;
}

Image training_image(const ImageRecord& record, const ImageDataOptions& options) {
  const Image image = read_image(record.file.path, {.background = options.background}).image;
  if (!options.smart_crop) return apply_fit(image, record.fit);
  const Image resized = resize(image, record.fit.resized.width, record.fit.resized.height);
  return crop_attention(resized, record.fit.bucket.width, record.fit.bucket.height);
}

std::string pixel_settings(const ImageDataOptions& options) {
  const BucketRule& r = options.rule;
  return sha256(fmt::format("1|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", options.buckets, r.resolution,
                            r.min_size, r.max_size, r.step, options.upscale, options.smart_crop,
                            options.background[0], options.background[1], options.background[2]));
}

}  // namespace lora
