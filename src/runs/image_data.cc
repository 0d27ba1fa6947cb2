// SPDX-License-Identifier: Apache-2.0
#include "runs/image_data.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/numbers.h"
#include "base/paths.h"
#include "base/text.h"
#include "data/caption_report.h"

namespace lora {

using Json = nlohmann::json;

ImageDataOptions image_data_options(const Config& config) {
  ImageDataOptions options;
  options.folder = config.data.train_data_dir;
  options.metadata = config.data.metadata_path;
  options.columns = config.data.columns;
  options.images = config.images;
  options.keep_duplicates = true;  // the user's repeats are meant
  options.captions.trigger = config.images.trigger_word;
  options.captions.clean = false;  // captions are trained as they are written
  return options;
}

std::vector<ImageEntry> entries(const std::vector<ImageRecord>& records) {
  std::vector<ImageEntry> list;
  for (const ImageRecord& record : records) {
    list.push_back({record.caption, record.fit.bucket, record.file.repeats, record.sha256});
  }
  return list;
}

std::vector<std::string> picture_lines(const Config& config,
                                       const std::vector<ImageRecord>& pictures) {
  std::vector<const ImageRecord*> all;
  for (const ImageRecord& record : pictures) all.push_back(&record);
  std::vector<std::string> lines;
  const std::string folders = picture_folders(all);
  if (!folders.empty()) lines.push_back("folders: " + folders);
  lines.push_back("captions: " + caption_sources(all));
  if (!config.images.caption_shuffle) return lines;
  const std::string& trigger = config.images.trigger_word;
  lines.push_back(join("captions: their parts are shuffled behind the first ",
                       config.images.keep_tokens, " (keep_tokens)",
                       trigger.empty() ? "" : "; the trigger '" + trigger + "' stays in front"));
  return lines;
}

std::vector<std::string> cut_prompts(const Config& config, const SdPrompts& prompts) {
  std::vector<std::string> all = config.sampling.sample_prompts;
  all.push_back(config.sampling.sample_negative);
  all.push_back(config.prior.class_prompt);
  std::vector<std::string> notes;
  for (const std::string& prompt : all) {
    const std::string note = cut_prompt_note(prompts, prompt, config.images.max_token_length);
    if (!note.empty()) notes.push_back("warning: " + note + ", or raise max_token_length");
  }
  return notes;
}

Size parse_size(const std::string& text, const std::string& where) {
  constexpr std::int64_t kLargest = 65536;
  const std::size_t cross = text.find('x');
  const auto width = whole_number(text.substr(0, cross));
  const auto height = whole_number(cross == std::string::npos ? "" : text.substr(cross + 1));
  const auto fits = [](const auto& edge) { return edge && *edge > 0 && *edge <= kLargest; };
  if (!fits(width) || !fits(height)) {
    fail_usage(where, ": '", text, "' is no size (expected WIDTHxHEIGHT, such as 512x768)");
  }
  return {static_cast<int>(*width), static_cast<int>(*height)};
}

std::vector<ImageRequest> sample_requests(const Config& config) {
  const auto side = static_cast<int>(config.images.resolution);
  const Size size = config.sampling.sample_size.empty()
                        ? Size{side, side}
                        : parse_size(config.sampling.sample_size, "sample_size");
  std::vector<ImageRequest> requests;
  for (const std::string& prompt : config.sampling.sample_prompts) {
    requests.push_back({.prompt = prompt,
                        .negative = config.sampling.sample_negative,
                        .steps = config.sampling.sample_steps,
                        .guidance = config.sampling.sample_guidance,
                        .sampler = config.sampling.sample_sampler,
                        .seed = config.sampling.sample_seed,
                        .width = size.width,
                        .height = size.height,
                        .clip_skip = config.images.clip_skip,
                        .positions = config.images.max_token_length,
                        .zero_terminal_snr = config.images.zero_terminal_snr});
  }
  return requests;
}

Path cache_folder(const Config& config) {
  return config.images.cache_latents ? output_root(config) / ".cache" / "latents" : Path();
}

std::string vae_key(const Config& config) {
  const Path base = config.base_model;
  const Path folder = base / "vae";
  if (!std::filesystem::is_directory(folder)) {
    return sha256(config.machine.mixed_precision + sha256_file(base));
  }
  std::set<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.insert(entry.path());
  }
  std::string hashes = config.machine.mixed_precision;
  for (const Path& file : files) hashes += sha256_file(file);
  return sha256(hashes);
}

Json record_json(const ImageRecord& record) {
  const Fit& fit = record.fit;
  return {{"path", path_of(record)},
          {"sha256", record.sha256},
          {"caption", record.caption},
          {"size", {record.size.width, record.size.height}},
          {"resized", {fit.resized.width, fit.resized.height}},
          {"bucket", {fit.bucket.width, fit.bucket.height}},
          {"crop", {fit.left, fit.top}}};
}

ImageRecord record_from(const Json& json) {
  ImageRecord record;
  record.file.path = json.at("path").get<std::string>();
  record.file.relative = record.file.path.filename().string();
  if (!std::filesystem::exists(record.file.path)) {
    fail("W08: ", record.file.path.string(), ": a picture of the parent's probe is gone; put it ",
         "back, so that the warm start can be verified");
  }
  record.sha256 = sha256_file(record.file.path);
  if (record.sha256 != json.at("sha256")) {
    fail("W08: ", record.file.path.string(), ": a picture of the parent's probe has changed; put ",
         "the old one back, so that the warm start can be verified");
  }
  record.caption = json.at("caption");
  const auto size = [&](const char* key) { return Size{json.at(key).at(0), json.at(key).at(1)}; };
  record.size = size("size");
  record.fit = {size("resized"), size("bucket"), json.at("crop").at(0), json.at("crop").at(1)};
  return record;
}

std::string tag_frequency(const std::vector<ImageRecord>& records, const std::string& folder) {
  std::map<std::string, int> counts;
  for (const ImageRecord& record : records) {
    for (const std::string& tag : split(record.caption, ',')) ++counts[trim(tag)];
  }
  return Json{{name_of(folder), counts}}.dump();
}

}  // namespace lora
