// SPDX-License-Identifier: Apache-2.0
// `lora generate` with a base for images.
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "commands/cli.h"
#include "commands/generate.h"
#include "runs/image_data.h"
#include "runs/pictures.h"

namespace lora {
namespace {

struct ImageArguments {
  SessionOptions session;
  std::string size, root = "output";
  std::vector<std::string> versions;
  PictureJob job;
  bool json = false;
};

// A PNG or a folder, and new.
void check_output(const Path& output) {
  if (output.empty()) {
    fail_usage("lora generate: --output is missing; name the PNG, or the folder, to write");
  }
  if (std::filesystem::exists(output)) {
    fail_usage(output.string(),
               ": exists already and is never overwritten; choose another --output");
  }
  const std::string ending = lower_ascii(output.extension().string());
  if (!ending.empty() && ending != ".png") {
    fail_usage("--output ", output.string(), ": only PNG is written (found the ending '", ending,
               "', expected .png, or a folder's name without an ending); rename it");
  }
}

ImageArguments parse(const Arguments& arguments) {
  ImageArguments a;
  std::string output;
  CLI::App app;
  app.add_option("--base", a.session.base);
  app.add_option("--version", a.versions)->allow_extra_args(false);
  app.add_option("--prompt", a.job.prompts)->allow_extra_args(false);
  app.add_option("--negative", a.job.request.negative);
  app.add_option("--steps", a.job.request.steps)->check(CLI::PositiveNumber);
  app.add_option("--guidance", a.job.request.guidance)->check(CLI::NonNegativeNumber);
  app.add_option("--sampler", a.job.request.sampler);
  app.add_option("--seed", a.job.request.seed);
  app.add_option("--size", a.size);
  app.add_option("--clip-skip", a.job.request.clip_skip);
  app.add_option("--count", a.job.count)->check(CLI::PositiveNumber);
  app.add_option("--output", output);
  app.add_option("--device", a.session.device);
  app.add_option("--dtype", a.session.dtype);
  app.add_option("--threads", a.session.threads)->check(CLI::NonNegativeNumber);
  app.add_option("--root", a.root);
  app.add_flag("--json", a.json);
  parse_arguments(app, "generate", arguments);
  if (a.job.prompts.empty()) fail_usage("lora generate: --prompt is missing; write what to draw");
  check_output(output);
  a.job.output = output;
  return a;
}

}  // namespace

int generate_images(const Arguments& arguments) {
  ImageArguments a = parse(arguments);
  const std::vector<NamedVersion> versions = name_versions(a.versions, a.root);
  const ImageSession session = open_image_session(a.session);
  const Size size =
      a.size.empty() ? Size{session.side(), session.side()} : parse_size(a.size, "--size");
  a.job.request.width = size.width;
  a.job.request.height = size.height;
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t pictures = draw_pictures(session, versions, a.job);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!a.json) {
    std::cout << a.job.output.string() << "\n";
    return 0;
  }
  nlohmann::json json = {{"output", a.job.output.string()},
                         {"seconds", seconds.count()},
                         {"size", {size.width, size.height}},
                         {"pictures", pictures}};
  for (const NamedVersion& version : versions) json["versions"].push_back(version.label);
  std::cout << json.dump(2) << "\n";
  return 0;
}

}  // namespace lora
