// SPDX-License-Identifier: Apache-2.0
#include "commands/generate.h"

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "commands/cli.h"
#include "runs/answers.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct GenerateArguments {
  SessionOptions session;
  std::vector<std::string> versions;
  std::string root = "output";
  TextRequest request;
  bool json = false;
};

void add_options(CLI::App& app, GenerateArguments& a) {
  app.add_option("--base", a.session.base);
  app.add_option("--version", a.versions)->allow_extra_args(false);
  app.add_option("--prompt", a.request.prompts)->allow_extra_args(false);
  app.add_option("--system", a.request.system);
  app.add_option("--template", a.session.prompt_template);
  app.add_flag("--raw", a.request.raw);
  app.add_option("--max-tokens", a.request.options.max_tokens)->check(CLI::PositiveNumber);
  app.add_option("--temperature", a.request.options.temperature)->check(CLI::NonNegativeNumber);
  app.add_option("--top-k", a.request.options.top_k)->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", a.request.options.top_p)->check(CLI::Range(0.0, 1.0));
  app.add_option("--repetition-penalty", a.request.options.repetition_penalty)
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", a.request.options.seed);
  app.add_option("--device", a.session.device);
  app.add_option("--dtype", a.session.dtype);
  app.add_option("--threads", a.session.threads)->check(CLI::NonNegativeNumber);
  app.add_option("--root", a.root);
  app.add_flag("--json", a.json);
}

Json answer_json(const Answer& answer) {
  return {{"version", answer.version},   {"prompt", answer.prompt},
          {"text", answer.text},         {"ids", answer.ids},
          {"tokens", answer.ids.size()}, {"finished", answer.finished}};
}

void print_answers(const std::vector<Answer>& all, std::size_t prompts, std::size_t versions) {
  for (const Answer& answer : all) {
    if (prompts > 1) std::cout << "> " << answer.prompt << "\n";
    if (versions > 1) std::cout << "[" << answer.version << "] ";
    std::cout << answer.text << "\n";
    if (prompts * versions > 1) std::cout << "\n";
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
  std::cout << json.dump(2) << "\n";
}

int generate_text(const GenerateArguments& a) {
  const std::vector<NamedVersion> versions = name_versions(a.versions, a.root);
  const TextSession session = open_text_session(a.session);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Answer> all = answers(session, versions, a.request);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (a.json) {
    print_json(all, seconds.count());
  } else {
    print_answers(all, a.request.prompts.size(), versions.size());
  }
  return 0;
}

}  // namespace

int run_generate(const Arguments& arguments) {
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    if (arguments[i] == "--base" && is_image_base(arguments[i + 1]))
      return generate_images(arguments);
  }
  GenerateArguments a;
  CLI::App app;
  add_options(app, a);
  parse_arguments(app, "generate", arguments);
  if (a.session.base.empty()) fail_usage("lora generate: --base is missing; name the base model");
  if (a.request.prompts.empty())
    fail_usage("lora generate: --prompt is missing; write what to answer");
  return generate_text(a);
}

}  // namespace lora
