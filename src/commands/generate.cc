// SPDX-License-Identifier: Apache-2.0
#include "commands/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "commands/cli.h"
#include "commands/image_commands.h"
#include "io/aten.h"
#include "models/generate.h"
#include "runs/session.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct GenerateArguments {
  SessionOptions session;
  std::vector<std::string> versions, prompts;
  std::string root = "output", system;
  GenerateOptions options;
  bool raw = false, json = false;
};

void add_options(CLI::App& app, GenerateArguments& a) {
  app.add_option("--base", a.session.base);
  app.add_option("--version", a.versions)->allow_extra_args(false);
  app.add_option("--prompt", a.prompts)->allow_extra_args(false);
  app.add_option("--system", a.system);
  app.add_option("--template", a.session.prompt_template);
  app.add_flag("--raw", a.raw);
  app.add_option("--max-tokens", a.options.max_tokens)->check(CLI::PositiveNumber);
  app.add_option("--temperature", a.options.temperature)->check(CLI::NonNegativeNumber);
  app.add_option("--top-k", a.options.top_k)->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", a.options.top_p)->check(CLI::Range(0.0, 1.0));
  app.add_option("--repetition-penalty", a.options.repetition_penalty)->check(CLI::PositiveNumber);
  app.add_option("--seed", a.options.seed);
  app.add_option("--dtype", a.session.dtype);
  app.add_option("--threads", a.session.threads)->check(CLI::NonNegativeNumber);
  app.add_option("--root", a.root);
  app.add_flag("--json", a.json);
}

Ids prompt_ids(const TextSession& session, const GenerateArguments& a, const std::string& prompt) {
  if (a.raw) return session.tokenizer->encode(prompt, {.add_special = true});
  std::vector<Message> messages;
  if (!a.system.empty()) messages.push_back({"system", a.system});
  messages.push_back({"user", prompt});
  return session.prompt->prompt_ids(messages);
}

Json answer_json(const TextSession& session, const NamedVersion& version, const std::string& prompt,
                 const Ids& ids, const Ids& stop) {
  const bool stopped =
      !ids.empty() && std::find(stop.begin(), stop.end(), ids.back()) != stop.end();
  return {{"version", version.label},
          {"prompt", prompt},
          {"text", session.tokenizer->decode(ids, true)},
          {"ids", ids},
          {"tokens", ids.size()},
          {"finished", stopped}};
}

void print_answers(const std::vector<Json>& answers, std::size_t prompts, std::size_t versions) {
  for (const Json& answer : answers) {
    if (prompts > 1) std::cout << "> " << answer["prompt"].get<std::string>() << "\n";
    if (versions > 1) std::cout << "[" << answer["version"].get<std::string>() << "] ";
    std::cout << answer["text"].get<std::string>() << "\n";
    if (prompts * versions > 1) std::cout << "\n";
  }
}

int generate_text(GenerateArguments a, const std::vector<NamedVersion>& versions) {
  const TextSession session = open_session(a.session);
  a.options.stop = session.prompt->stop_ids();
  std::vector<Ids> prompts;
  for (const std::string& prompt : a.prompts) prompts.push_back(prompt_ids(session, a, prompt));
  std::vector<Json> answers(prompts.size() * versions.size());
  std::int64_t tokens = 0;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t v = 0; v < versions.size(); ++v) {
    apply_version(versions[v], session.layers);
    const std::vector<Ids> out = generate(*session.model, prompts, a.options);
    for (std::size_t p = 0; p < prompts.size(); ++p) {
      tokens += static_cast<std::int64_t>(out[p].size());
      answers[p * versions.size() + v] =
          answer_json(session, versions[v], a.prompts[p], out[p], a.options.stop);
    }
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!a.json) {
    print_answers(answers, prompts.size(), versions.size());
    return 0;
  }
  Json json = answers.size() == 1 ? answers[0] : Json{{"results", answers}};
  json["seconds"] = seconds;
  json["tokens_per_s"] = static_cast<double>(tokens) / seconds;
  std::cout << json.dump(2) << "\n";
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
  if (a.prompts.empty()) fail_usage("lora generate: --prompt is missing; write what to answer");
  const std::vector<NamedVersion> versions = name_versions(a.versions, a.root);
  return generate_text(std::move(a), versions);
}

}  // namespace lora
