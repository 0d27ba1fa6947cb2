// SPDX-License-Identifier: Apache-2.0
#include "commands/prepare.h"

#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
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
  fail_usage("--background: '", text, "' is no colour (expected white, black, grey or #rrggbb)");
}

void add_options(CLI::App& app, PrepareArguments& a) {
  BucketRule& rule = a.images.rule;
  app.add_option("--input", a.input);
  app.add_option("--output", a.output);
  app.add_option("--config", a.config);
  app.add_option("--metadata", a.metadata);
  app.add_option("--resolution", rule.resolution)->check(CLI::Range(8, 8192));
  app.add_flag("--buckets", a.images.buckets);
  app.add_option("--bucket-min", rule.min_size)->check(CLI::Range(8, 8192));
  app.add_option("--bucket-max", rule.max_size)->check(CLI::Range(8, 8192));
  app.add_option("--bucket-step", rule.step)->check(CLI::Range(1, 1024));
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
  if (!given("--input")) a.input = config.train_data_dir;
  if (!given("--output")) a.output = Path(a.input).lexically_normal().string() + "_prepared";
  if (!given("--metadata")) a.metadata = config.metadata_path;
  if (!given("--resolution")) a.images.rule.resolution = static_cast<int>(config.resolution);
  if (!given("--buckets")) a.images.buckets = config.buckets;
  if (!given("--bucket-min")) a.images.rule.min_size = static_cast<int>(config.bucket_min);
  if (!given("--bucket-max")) a.images.rule.max_size = static_cast<int>(config.bucket_max);
  if (!given("--bucket-step")) a.images.rule.step = static_cast<int>(config.bucket_step);
  if (!given("--trigger")) a.images.captions.trigger = config.trigger_word;
}

PrepareArguments parse(const std::string& verb, const Arguments& arguments) {
  PrepareArguments a;
  CLI::App app;
  add_options(app, a);
  parse_arguments(app, verb, arguments);
  take_config(a, app);
  if (a.input.empty())
    fail_usage("lora ", verb, ": --input is missing; name the folder of pictures");
  if (a.output.empty()) fail_usage("lora ", verb, ": --output is missing; name what to write");
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

ImageProgress progress_lines() {
  return [](std::size_t done, std::size_t all) {
    if (stderr_is_terminal()) {
      fmt::print(stderr, "\r\033[K{}/{} pictures{}", done, all, done == all ? "\n" : "");
    } else if (done == all || done % 100 == 0) {
      info(join(done, "/", all, " pictures"));
    }
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

void print_scan(const ImageScan& scan) {
  for (const ImageRecord& record : scan.records) {
    if (record.verdict == PictureVerdict::used) continue;
    std::cout << "left out  " << record.file.relative << " ("
              << picture_verdict_name(record.verdict) << "): " << record.problem << "\n";
  }
  for (const ImageRecord& record : scan.records) {
    if (record.verdict != PictureVerdict::used || record.notes.empty()) continue;
    std::cout << "note      " << record.file.relative << ": " << join_words(record.notes) << "\n";
  }
  for (const std::string& warning : scan.warnings) std::cout << "note      " << warning << "\n";
  std::map<std::string, int> sources;
  for (const ImageRecord* record : scan.used()) {
    const std::string& source = record->found.source;
    ++sources[source.ends_with(".txt") || source.ends_with(".caption")
                  ? "sidecar files"
                  : source.substr(0, source.find(':'))];
  }
  std::cout << "captions  ";
  for (const auto& [source, count] : sources) std::cout << count << " from " << source << "  ";
  std::cout << "\n";
}

int prepare_pictures(const Arguments& arguments) {
  const PrepareArguments a = parse("prepare images", arguments);
  const PrepareReport report = prepare_images(a.images, a.output, progress_lines());
  const std::size_t used = report.outputs.size();
  if (a.json) {
    Json json = {{"output", a.output},
                 {"used", used},
                 {"left_out", report.scan.records.size() - used},
                 {"written", report.written},
                 {"unchanged", report.unchanged},
                 {"removed", report.removed},
                 {"warnings", report.scan.warnings},
                 {"files", Json::array()}};
    for (const ImageRecord& r : report.scan.records) json["files"].push_back(record_json(r));
    std::cout << json.dump(2) << "\n";
    return 0;
  }
  print_scan(report.scan);
  std::cout << used << " of " << report.scan.records.size() << " pictures in " << a.output << " ("
            << report.written << " written, " << report.unchanged << " unchanged, "
            << report.removed << " removed); captions in " << a.output << "/metadata.csv\n";
  return 0;
}

}  // namespace

int run_prepare(const Arguments& arguments) {
  const std::string what = arguments.empty() ? "" : arguments.front();
  if (what == "images") return prepare_pictures({arguments.begin() + 1, arguments.end()});
  if (what.starts_with("--")) return prepare_pictures(arguments);
  fail_usage("lora prepare: '", what, "': unknown (expected images, or --config FILE)",
             did_you_mean(what, {"images"}));
}

int run_label(const Arguments& arguments) {
  PrepareArguments a = parse("label", arguments);
  a.images.upscale = true;  // the size is not looked at: captions only
  ImageFactsCache cache;
  const ImageScan scan = scan_images(a.images, cache, progress_lines());
  std::vector<std::string> names;
  for (const ImageRecord* record : scan.used()) names.push_back(record->file.relative);
  write_metadata(a.output, scan, names);
  if (a.json) {
    Json json = {{"output", a.output}, {"files", Json::array()}};
    for (const ImageRecord& record : scan.records) json["files"].push_back(record_json(record));
    std::cout << json.dump(2) << "\n";
    return 0;
  }
  print_scan(scan);
  std::cout << names.size() << " captions in " << a.output << "\n";
  return 0;
}

}  // namespace lora
