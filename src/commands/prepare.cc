// SPDX-License-Identifier: Apache-2.0
#include "commands/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/reading.h"
#include "base/text.h"
#include "commands/cli.h"
#include "config/config.h"
#include "data/prepare_images.h"
#include "models/blip.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct PrepareArguments {
  std::string input, output, config, metadata, background = "white", caption = "auto";
  ImageDataOptions images;
  bool json = false;
};

// "white", "black", "grey" or "#rrggbb".
Colour colour_of(const std::string& text) {
  if (text == "white") return {255, 255, 255};
  if (text == "black") return {0, 0, 0};
  if (text == "grey" || text == "gray") return {128, 128, 128};
  unsigned int r = 0, g = 0, b = 0;
  if (text.size() == 7 && std::sscanf(text.c_str(), "#%2x%2x%2x", &r, &g, &b) == 3) {
    return {static_cast<std::uint8_t>(r), static_cast<std::uint8_t>(g),
            static_cast<std::uint8_t>(b)};
  }
  fail_usage("lora prepare images: --background: '", text,
             "' is no colour (expected white, black, grey or #rrggbb); choose one of them");
}

void add_options(CLI::App& app, PrepareArguments& a) {
  ImageConfig& sizes = a.images.images;
  app.add_option("--input", a.input);
  app.add_option("--output", a.output);
  app.add_option("--config", a.config);
  app.add_option("--metadata", a.metadata);
  app.add_option("--resolution", sizes.resolution)->check(CLI::Range(8, 8192));
  app.add_flag("--buckets", sizes.buckets);
  app.add_option("--bucket-min", sizes.bucket_min)->check(CLI::Range(8, 8192));
  app.add_option("--bucket-max", sizes.bucket_max)->check(CLI::Range(8, 8192));
  app.add_option("--bucket-step", sizes.bucket_step)->check(CLI::Range(1, 1024));
  app.add_flag("--upscale", a.images.upscale);
  app.add_flag("--smart-crop", a.images.smart_crop);
  app.add_flag("--keep-duplicates", a.images.keep_duplicates);
  app.add_option("--min-sharpness", a.images.min_sharpness)->check(CLI::NonNegativeNumber);
  app.add_option("--background", a.background);
  app.add_option("--caption,--model", a.caption);
  app.add_option("--trigger", a.images.captions.trigger);
  app.add_option("--prefix", a.images.captions.prefix);
  app.add_option("--suffix", a.images.captions.suffix);
  app.add_flag("!--no-clean", a.images.captions.clean);
  app.add_flag("--json", a.json);
}

// Keys of a training configuration, where one is given; options on the line win.
void take_config(PrepareArguments& a, const CLI::App& app) {
  if (a.config.empty()) return;
  const Config config = load_config(a.config);
  const auto given = [&](const char* name) { return app.count(name) > 0; };
  if (!given("--input")) a.input = config.data.train_data_dir;
  if (!given("--output")) a.output = Path(a.input).lexically_normal().string() + "_prepared";
  if (!given("--metadata")) a.metadata = config.data.metadata_path;
  ImageConfig& sizes = a.images.images;
  if (!given("--resolution")) sizes.resolution = config.images.resolution;
  if (!given("--buckets")) sizes.buckets = config.images.buckets;
  if (!given("--bucket-min")) sizes.bucket_min = config.images.bucket_min;
  if (!given("--bucket-max")) sizes.bucket_max = config.images.bucket_max;
  if (!given("--bucket-step")) sizes.bucket_step = config.images.bucket_step;
  if (!given("--trigger")) a.images.captions.trigger = config.images.trigger_word;
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

PrepareArguments parse(const std::string& verb, const Arguments& arguments) {
  PrepareArguments a;
  CLI::App app;
  add_options(app, a);
  parse_arguments(app, verb, arguments);
  take_config(a, app);
  if (a.input.empty())
    fail_usage("lora ", verb, ": --input is missing; name the folder of pictures");
  if (a.output.empty())
    fail_usage(
        "lora ", verb, ": --output is missing; name ",
        verb == "label" ? "the table to write, such as metadata.csv" : "the folder to write");
  check_buckets(a.images.images);
  a.images.folder = a.input;
  a.images.metadata = a.metadata;
  a.images.background = colour_of(a.background);
  if (a.caption != "auto") {
    const std::shared_ptr<const Blip> model = Blip::load(a.caption);
    a.images.captioner = [model](const Image& image) { return model->caption(image); };
    a.images.captioner_name = sha256_file(Path(a.caption) / "config.json") + a.caption;
  }
  return a;
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

// "metadata.csv:4" -> "metadata.csv", "09.txt" -> "sidecar files".
std::string kind_of_source(const std::string& source) {
  if (source.ends_with(".txt") || source.ends_with(".caption")) return "sidecar files";
  if (source.starts_with("png:") || source.starts_with("exif:") || source.starts_with("iptc:") ||
      source.starts_with("xmp:")) {
    return "the pictures themselves";
  }
  if (source == "model") return "the captioning model";
  if (source == "folder") return "folder names";
  if (source == "file name") return "file names";
  return source.substr(0, source.find(':'));
}

void print_sources(const ImageScan& scan) {
  std::map<std::string, int> counts;
  int without = 0;
  for (const ImageRecord* record : scan.used()) {
    if (record->found.source == "none") {
      ++without;
    } else {
      ++counts[kind_of_source(record->found.source)];
    }
  }
  std::vector<std::string> parts;
  for (const auto& [source, count] : counts) parts.push_back(join(count, " from ", source));
  if (without > 0) parts.push_back(join(without, " without"));
  std::cout << "captions  " << join_words(parts) << "\n";
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
    std::cout << "note      " << record->file.relative << ": " << join_words(own) << "\n";
  }
  std::vector<std::string> parts;
  for (const auto& [note, count] : common) parts.push_back(join(count, " ", note));
  if (!parts.empty()) std::cout << "done      " << join_words(parts) << "\n";
}

void print_scan(const ImageScan& scan) {
  for (const ImageRecord& record : scan.records) {
    if (record.verdict == PictureVerdict::used) continue;
    std::cout << "left out  " << record.file.relative << " ("
              << picture_verdict_name(record.verdict) << "): " << record.problem << "\n";
  }
  print_notes(scan);
  for (const std::string& warning : scan.warnings) std::cout << "note      " << warning << "\n";
  std::map<Size, int> sizes;
  for (const ImageRecord* record : scan.used()) ++sizes[record->fit.bucket];
  if (sizes.size() > 1) {
    std::vector<std::string> parts;
    for (const auto& [size, count] : sizes) {
      parts.push_back(join(count, " of ", size.width, "x", size.height));
    }
    std::cout << "buckets   " << join_words(parts) << "\n";
  }
  print_sources(scan);
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

int run_prepare_images(const Arguments& arguments) {
  const PrepareArguments a = reading([&] { return parse("prepare images", arguments); });
  const PrepareReport report = prepare_images(a.images, a.output, progress_lines());
  if (a.json) {
    std::cout << report_json(report, a.output).dump(2) << "\n";
    return 0;
  }
  print_scan(report.scan);
  std::cout << report.outputs.size() << " of " << report.scan.records.size() << " pictures in "
            << a.output << " (" << report.written << " written, " << report.unchanged
            << " unchanged, " << report.removed << " removed); captions in " << a.output
            << "/metadata.csv";
  if (report.edited > 0) std::cout << " (" << report.edited << " edited by hand stay)";
  std::cout << "\n";
  return 0;
}

// What `lora prepare --config FILE` is about.
int run_prepare_config(const Arguments& arguments) {
  const auto at = std::ranges::find(arguments, "--config");
  if (at == arguments.end() || at + 1 == arguments.end()) {
    fail_usage("lora prepare: what to prepare is missing; type `lora prepare images`, ",
               "`lora prepare text` or `lora prepare --config FILE`");
  }
  const Config config = load_config(*(at + 1));
  return config.task_type == "text-to-image" ? run_prepare_images(arguments)
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
  PrepareArguments a = reading([&] { return parse("label", arguments); });
  a.images.upscale = true;  // the size is not looked at: captions only
  a.images.images.bucket_step = 1;
  const PrepareReport report = label_images(a.images, a.output, progress_lines());
  if (a.json) {
    std::cout << report_json(report, a.output).dump(2) << "\n";
    return 0;
  }
  print_scan(report.scan);
  std::cout << report.outputs.size() << " captions in " << a.output;
  if (report.edited > 0) std::cout << " (" << report.edited << " edited by hand stay)";
  std::cout << "\n";
  return 0;
}

}  // namespace lora
