// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/reading.h"
#include "base/shown.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "config/config.h"
#include "data/caption_report.h"
#include "data/prepare_images.h"
#include "models/blip.h"
#include "train/machine.h"

namespace lora {

int run_prepare_text(const Arguments& arguments);  // prepare_text.cc

namespace {

using Json = nlohmann::json;

struct PrepareArguments {
  std::string output, model;  // of captions: "auto" or a folder
  MachineConfig machine;      // of the captioning model
  ImageDataOptions images;
  bool json = false;
};

// "white", "black", "grey" or "#rrggbb".
Colour colour_of(const std::string& text) {
  if (text == "white") return {255, 255, 255};
  if (text == "black") return {0, 0, 0};
  if (text == "grey" || text == "gray") return {128, 128, 128};
  const std::string digits = text.starts_with('#') ? text.substr(1) : "";
  if (digits.size() == 6 &&
      std::ranges::all_of(digits, [](unsigned char c) { return std::isxdigit(c) != 0; })) {
    const auto channel = [&](std::size_t at) {
      return static_cast<std::uint8_t>(std::stoi(digits.substr(at, 2), nullptr, 16));
    };
    return {channel(0), channel(2), channel(4)};
  }
  fail_usage("lora prepare images: --background: '", text,
             "' is no colour (expected white, black, grey or #rrggbb); choose one of them");
}

// What `prepare images` and `label` have in common.
PrepareArguments take_captions(const CommandLine& line, std::string_view model) {
  PrepareArguments a;
  a.output = line.text("--output");
  a.model = line.text(model);
  a.json = line.given("--json");
  a.machine.device = line.text("--device");
  a.machine.threads = line.whole("--threads");
  a.images.folder = line.text("--input");
  a.images.metadata = line.text("--metadata");
  a.images.captions.trigger = line.text("--trigger");
  a.images.captions.prefix = line.text("--prefix");
  a.images.captions.suffix = line.text("--suffix");
  a.images.captions.clean = !line.given("--no-clean");
  return a;
}

void take_sizes(ImageDataOptions& images, const CommandLine& line) {
  images.images.resolution = line.whole("--resolution");
  images.images.bucket_min = line.whole("--bucket-min");
  images.images.bucket_max = line.whole("--bucket-max");
  images.images.bucket_step = line.whole("--bucket-step");
  images.images.buckets = line.given("--buckets");
  images.upscale = line.given("--upscale");
  images.smart_crop = line.given("--smart-crop");
  images.keep_duplicates = line.given("--keep-duplicates");
  images.min_sharpness = line.real("--min-sharpness");
  images.background = colour_of(line.text("--background"));
}

// Keys of a training configuration, where one is given; options on the line win.
void take_config(PrepareArguments& a, const CommandLine& line) {
  if (!line.given("--config")) return;
  const Config config = load_config(line.text("--config"));
  const auto absent = [&](const char* name) { return !line.given(name); };
  ImageConfig& sizes = a.images.images;
  if (absent("--input")) a.images.folder = config.data.train_data_dir;
  if (a.images.folder.empty()) line.fail_missing("--input");
  if (absent("--output")) a.output = a.images.folder.lexically_normal().string() + "_prepared";
  if (absent("--metadata")) a.images.metadata = config.data.metadata_path;
  a.images.columns = config.data.columns;
  if (absent("--resolution")) sizes.resolution = config.images.resolution;
  if (absent("--buckets")) sizes.buckets = config.images.buckets;
  if (absent("--bucket-min")) sizes.bucket_min = config.images.bucket_min;
  if (absent("--bucket-max")) sizes.bucket_max = config.images.bucket_max;
  if (absent("--bucket-step")) sizes.bucket_step = config.images.bucket_step;
  if (absent("--trigger")) a.images.captions.trigger = config.images.trigger_word;
}

// Buckets of a small resolution need small steps.
void check_buckets(const ImageConfig& sizes) {
  if (!sizes.buckets) return;
  if (sizes.bucket_min > sizes.resolution || sizes.bucket_max < sizes.resolution) {
    fail_usage("lora prepare images: --bucket-min ", sizes.bucket_min, ", --bucket-max ",
               sizes.bucket_max, ": not around the resolution (found ", sizes.resolution,
               "); give for example --bucket-min ", sizes.resolution / 2, " --bucket-max ",
               sizes.resolution * 2);
  }
  if (sizes.bucket_step * 2 > sizes.resolution) {
    fail_usage("lora prepare images: --bucket-step: too coarse (found ", sizes.bucket_step,
               " at resolution ", sizes.resolution,
               ", expected at most half of it); give for example --bucket-step ",
               std::max<std::int64_t>(8, sizes.resolution / 64 * 8));
  }
}

void load_captioner(PrepareArguments& a) {
  if (a.model == "auto") return;
  const std::shared_ptr<const Blip> model =
      Blip::load(a.model, choose_machine(a.machine).device);
  a.images.captioner = [model](const Image& image) { return model->caption(image); };
  a.images.captioner_name = sha256_file(Path(a.model) / "config.json") + a.model;
}

// A bar on a terminal; elsewhere a line every ten seconds and at the end of each part.
ImageProgress progress_lines() {
  using Clock = std::chrono::steady_clock;
  return [last = Clock::now()](std::string_view what, std::size_t done, std::size_t all) mutable {
    const bool end = done == all;
    const auto quiet = Clock::now() - last;
    const bool terminal = stderr_is_terminal();
    if (!end && quiet < (terminal ? std::chrono::milliseconds(100) : std::chrono::seconds(10))) {
      return;
    }
    last = Clock::now();
    if (!terminal) {
      info(join(what, ": ", done, " of ", all));
      return;
    }
    const auto as_number = [](std::size_t n) { return static_cast<std::int64_t>(n); };
    fmt::print(stderr, "\r\033[K{} {}{}", what,
               progress_line(as_number(done), as_number(all), -1, ""), end ? "\n" : "");
    std::fflush(stderr);
  };
}

Json record_json(const ImageRecord& record) {
  Json json = {{"file", record.file.relative},
               {"verdict", picture_verdict_name(record.verdict)},
               {"notes", record.notes}};
  if (!record.problem.empty()) json["problem"] = record.problem;
  if (record.verdict != PictureVerdict::used) return json;
  json["caption"] = record.caption;
  json["caption_source"] = record.found.source;
  json["size"] = {record.size.width, record.size.height};
  json["bucket"] = {record.fit.bucket.width, record.fit.bucket.height};
  json["repeats"] = record.file.repeats;
  return json;
}

// What many pictures have in common is counted; what concerns one stands with its name.
void print_notes(const ImageScan& scan) {
  std::map<std::string, int> common;
  for (const ImageRecord* record : scan.used()) {
    std::vector<std::string> own;
    for (const std::string& note : record->notes) {
      if (note.starts_with("looks")) {
        own.push_back(note);
      } else {
        ++common[note];
      }
    }
    if (own.empty()) continue;
    say(shown(join("note      ", record->file.relative, ": ", join_words(own))));
  }
  std::vector<std::string> parts;
  for (const auto& [note, count] : common) parts.push_back(join(count, " ", note));
  if (!parts.empty()) say("done      " + shown(join_words(parts)));
}

void print_scan(const ImageScan& scan) {
  for (const ImageRecord& record : scan.records) {
    if (record.verdict == PictureVerdict::used) continue;
    say(shown(join("left out  ", record.file.relative, " (", picture_verdict_name(record.verdict),
                   "): ", record.problem)));
  }
  print_notes(scan);
  for (const std::string& warning : scan.warnings) say("note      " + shown(warning));
  std::map<Size, int> sizes;
  for (const ImageRecord* record : scan.used()) ++sizes[record->fit.bucket];
  if (sizes.size() > 1) {
    std::vector<std::string> parts;
    for (const auto& [size, count] : sizes) {
      parts.push_back(join(count, " of ", size.width, "x", size.height));
    }
    say("buckets   " + join_words(parts));
  }
  say("captions  " + shown(caption_sources(scan.used())));
}

Json report_json(const PrepareReport& report, const std::string& output) {
  const std::size_t used = report.outputs.size();
  Json json = {{"output", output},
               {"used", used},
               {"left_out", report.scan.records.size() - used},
               {"written", report.written},
               {"unchanged", report.unchanged},
               {"removed", report.removed},
               {"edited", report.edited},
               {"warnings", report.scan.warnings},
               {"files", Json::array()}};
  for (const ImageRecord& record : report.scan.records) {
    json["files"].push_back(record_json(record));
  }
  return json;
}

std::string edited_text(const PrepareReport& report) {
  return report.edited > 0 ? join(" (", report.edited, " edited by hand stay)") : "";
}

int run_prepare_images(const Arguments& arguments) {
  const CommandLine line("prepare images", arguments);
  PrepareArguments a = take_captions(line, "--caption");
  take_sizes(a.images, line);
  take_config(a, line);
  check_buckets(a.images.images);
  reading([&] { load_captioner(a); });
  const PrepareReport report = prepare_images(a.images, a.output, progress_lines());
  if (a.json) {
    say_json(report_json(report, a.output));
    return 0;
  }
  print_scan(report.scan);
  say(shown(join(report.outputs.size(), " of ", report.scan.records.size(), " pictures in ",
                 a.output, " (", report.written, " written, ", report.unchanged, " unchanged, ",
                 report.removed, " removed); captions in ", a.output, "/metadata.csv",
                 edited_text(report))));
  return 0;
}

// `lora prepare --config FILE [...]`: the file says of what kind the rest is.
int run_prepare_config(const Arguments& arguments) {
  std::string file;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].starts_with("--config=")) file = arguments[i].substr(9);
    if (arguments[i] == "--config" && i + 1 < arguments.size()) file = arguments[i + 1];
  }
  if (file.empty()) {
    fail_usage("lora prepare: what to prepare is missing; type `lora prepare images`, ",
               "`lora prepare text` or `lora prepare --config FILE`");
  }
  return is_image_task(load_config(file)) ? run_prepare_images(arguments)
                                          : run_prepare_text(arguments);
}

}  // namespace

int run_prepare(const Arguments& arguments) {
  const std::string what = arguments.empty() ? "--" : arguments.front();
  if (what.starts_with("--")) return run_prepare_config(arguments);
  const Arguments rest(arguments.begin() + 1, arguments.end());
  if (what == "images") return run_prepare_images(rest);
  if (what == "text") return run_prepare_text(rest);
  fail_usage("lora prepare: '", what, "': unknown (expected images, text or --config FILE)",
             did_you_mean(what, {"images", "text"}));
}

int run_label(const Arguments& arguments) {
  const CommandLine line("label", arguments);
  PrepareArguments a = take_captions(line, "--model");
  reading([&] { load_captioner(a); });
  a.images.upscale = true;  // the size is not looked at: captions only
  a.images.images.bucket_step = 1;
  const PrepareReport report = label_images(a.images, a.output, progress_lines());
  if (a.json) {
    say_json(report_json(report, a.output));
    return 0;
  }
  print_scan(report.scan);
  say(shown(join(report.outputs.size(), " captions in ", a.output, edited_text(report))));
  return 0;
}

}  // namespace lora
