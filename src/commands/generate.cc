// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/shown.h"
#include "cli/command_line.h"
#include "commands/session_options.h"
#include "runs/answers.h"

namespace lora {

int generate_images(const CommandLine& line);  // generate_images.cc

namespace {

using Json = nlohmann::json;

TextRequest request_of(const CommandLine& line) {
  return {.prompts = line.list("--prompt"),
          .system = line.text("--system"),
          .raw = line.given("--raw"),
          .options = {.max_tokens = line.whole("--max-tokens"),
                      .temperature = line.real("--temperature"),
                      .top_k = line.whole("--top-k"),
                      .top_p = line.real("--top-p"),
                      .repetition_penalty = line.real("--repetition-penalty"),
                      .seed = static_cast<std::uint64_t>(line.whole("--seed"))}};
}

Json answer_json(const Answer& answer) {
  return {{"version", answer.version},   {"prompt", answer.prompt},
          {"text", answer.text},         {"ids", answer.ids},
          {"tokens", answer.ids.size()}, {"finished", answer.finished}};
}

void print_answers(const std::vector<Answer>& all, std::size_t prompts, std::size_t versions) {
  for (const Answer& answer : all) {
    if (prompts > 1) say("> " + answer.prompt);
    say((versions > 1 ? "[" + shown(answer.version) + "] " : "") + answer.text);
    if (prompts * versions > 1) say("");
  }
}

void print_json(const std::vector<Answer>& all, double seconds) {
  std::vector<Json> list;
  std::size_t tokens = 0;
  for (const Answer& answer : all) {
    list.push_back(answer_json(answer));
    tokens += answer.ids.size();
  }
  Json json = list.size() == 1 ? list[0] : Json{{"results", list}};
  json["seconds"] = seconds;
  json["tokens_per_s"] = static_cast<double>(tokens) / seconds;
  say_json(json);
}

int generate_text(const CommandLine& line) {
  const std::vector<NamedVersion> versions =
      name_versions(line.list("--version"), line.text("--root"));
  const TextRequest request = request_of(line);
  const TextSession session = open_text_session(session_options(line));
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Answer> all = answers(session, versions, request);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (line.given("--json")) {
    print_json(all, seconds.count());
  } else {
    print_answers(all, request.prompts.size(), versions.size());
  }
  return 0;
}

}  // namespace

int run_generate(const Arguments& arguments) {
  const CommandLine line("generate", arguments);
  const bool images = is_image_base(line.text("--base"));
  line.settle(images ? kOfImages : kOfTexts);
  return images ? generate_images(line) : generate_text(line);
}

}  // namespace lora
