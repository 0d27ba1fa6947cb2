// SPDX-License-Identifier: Apache-2.0
// `lora generate` with a base for images.
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/shown.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "commands/session_options.h"
#include "runs/image_data.h"
#include "runs/pictures.h"

namespace lora {

int generate_images(const CommandLine& line);  // called in generate.cc

namespace {

// A PNG or a folder, and new.
void check_output(const Path& output) {
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

PictureJob job_of(const CommandLine& line) {
  check_output(line.text("--output"));
  return {.prompts = line.list("--prompt"),
          .count = line.whole("--count"),
          .request = {.negative = line.text("--negative"),
                      .steps = line.whole("--steps"),
                      .guidance = line.real("--guidance"),
                      .sampler = line.text("--sampler"),
                      .seed = line.whole("--seed"),
                      .clip_skip = line.whole("--clip-skip")},
          .output = line.text("--output")};
}

void warn_if_cut(const ImageSession& session, const std::string& prompt, std::int64_t positions) {
  const std::string note = cut_prompt_note(session.prompts, prompt, positions);
  if (!note.empty()) warn(note);
}

}  // namespace

int generate_images(const CommandLine& line) {
  PictureJob job = job_of(line);
  const std::vector<NamedVersion> versions =
      name_versions(line.list("--version"), line.text("--root"));
  const ImageSession session = open_image_session(session_options(line));
  for (const std::string& prompt : job.prompts) warn_if_cut(session, prompt, job.request.positions);
  warn_if_cut(session, job.request.negative, job.request.positions);
  const Size size = line.given("--size") ? parse_size(line.text("--size"), "--size")
                                         : Size{session.side(), session.side()};
  job.request.width = size.width;
  job.request.height = size.height;
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t pictures = draw_pictures(session, versions, job);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!line.given("--json")) {
    say(shown(job.output.string()));
    return 0;
  }
  nlohmann::json json = {{"output", job.output.string()},
                         {"seconds", seconds.count()},
                         {"size", {size.width, size.height}},
                         {"pictures", pictures}};
  for (const NamedVersion& version : versions) json["versions"].push_back(version.label);
  say_json(json);
  return 0;
}

}  // namespace lora
