// SPDX-License-Identifier: Apache-2.0
#include "commands/eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/reading.h"
#include "commands/cli.h"
#include "runs/evaluate.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct EvalArguments {
  SessionOptions session;
  std::vector<std::string> versions, data;
  std::string root = "output", format = "auto";
  std::int64_t max_length = 0;
  bool exact_match = false, json = false;
  bool images = false;  // the kind of base
};

void refuse_text_options(const CLI::App& app) {
  for (const char* name : {"--template", "--dataset-format", "--max-seq-length", "--exact-match"}) {
    if (app.count(name) == 0) continue;
    fail_usage("lora eval: ", name, ": is for texts (found a --base for images); leave it out");
  }
}

EvalArguments parse(const Arguments& arguments) {
  EvalArguments a;
  CLI::App app;
  app.add_option("--base", a.session.base);
  app.add_option("--version", a.versions)->allow_extra_args(false);
  app.add_option("--data", a.data)->allow_extra_args(false);
  app.add_option("--template", a.session.prompt_template);
  app.add_option("--dataset-format", a.format);
  app.add_option("--max-seq-length", a.max_length)->check(CLI::PositiveNumber);
  app.add_option("--device", a.session.device);
  app.add_option("--dtype", a.session.dtype);
  app.add_option("--threads", a.session.threads)->check(CLI::NonNegativeNumber);
  app.add_option("--root", a.root);
  app.add_flag("--exact-match", a.exact_match);
  app.add_flag("--json", a.json);
  parse_arguments(app, "eval", arguments);
  if (a.session.base.empty()) fail_usage("lora eval: --base is missing; name the base model");
  if (a.data.empty()) fail_usage("lora eval: --data is missing; name the file to measure on");
  a.images = is_image_base(a.session.base);
  if (a.images) refuse_text_options(app);
  return a;
}

// Scores of every version on every data set, the versions of one set together.
template <typename Session, typename Set>
std::vector<Score> scores_of(const Session& session, const std::vector<NamedVersion>& versions,
                             const std::vector<Set>& sets) {
  std::vector<Score> scores(versions.size() * sets.size());
  for (std::size_t v = 0; v < versions.size(); ++v) {
    apply_version(versions[v], session.layers);
    for (std::size_t s = 0; s < sets.size(); ++s) {
      scores[s * versions.size() + v] = evaluate(session, sets[s]);
    }
  }
  return scores;
}

std::vector<Score> text_scores(const EvalArguments& a, const std::vector<NamedVersion>& versions) {
  const TextSession session = open_text_session(a.session);
  std::vector<TextSet> sets;
  for (const std::string& path : a.data) {
    sets.push_back(reading([&] { return read_text_set(session, path, a.format, a.max_length); }));
  }
  return scores_of(session, versions, sets);
}

std::vector<Score> image_scores(EvalArguments a, const std::vector<NamedVersion>& versions) {
  if (a.session.dtype == "auto") a.session.dtype = "f32";
  const ImageSession session = open_image_session(a.session);
  std::vector<PictureSet> sets;
  for (const std::string& folder : a.data) sets.push_back(read_picture_set(session, folder));
  return scores_of(session, versions, sets);
}

Json score_json(const EvalArguments& a, const std::string& version, const std::string& data,
                const Score& score) {
  Json json = {
      {"base", a.session.base}, {"version", version}, {"data", data}, {"loss", score.loss()}};
  if (a.images) {
    json["pictures"] = score.samples.size();
    return json;
  }
  json["perplexity"] = std::exp(score.loss());
  json["tokens"] = static_cast<std::int64_t>(score.count);
  json["samples"] = score.samples.size();
  json["seconds"] = score.seconds;
  json["exact_match"] = a.exact_match ? Json(score.exact_share()) : Json();
  return json;
}

std::string exact_text(const Json& json) {
  if (json["exact_match"].is_null()) return "";
  return fmt::format("{:7.1f} %", 100 * json["exact_match"].get<double>());
}

void print_texts(const std::vector<Json>& results) {
  std::size_t width = 8;
  for (const Json& r : results) width = std::max(width, r["version"].get<std::string>().size());
  std::cout << fmt::format("{:<{}}  {:>9}  {:>10}  {:>7}  {}{}\n", "version", width, "loss",
                           "perplexity", "tokens",
                           results[0]["exact_match"].is_null() ? "" : "   exact  ", "data");
  for (const Json& r : results) {
    std::cout << fmt::format("{:<{}}  {:>9.4f}  {:>10.2f}  {:>7}  {}  {}\n",
                             r["version"].get<std::string>(), width, r["loss"].get<double>(),
                             r["perplexity"].get<double>(), r["tokens"].get<std::int64_t>(),
                             exact_text(r), r["data"].get<std::string>());
  }
}

void print_images(const std::vector<Json>& results) {
  for (const Json& r : results) {
    std::cout << fmt::format("{:<28} loss {:.5f}  {} pictures of {}\n",
                             r["version"].get<std::string>(), r["loss"].get<double>(),
                             r["pictures"].get<int>(), r["data"].get<std::string>());
  }
}

}  // namespace

int run_eval(const Arguments& arguments) {
  const EvalArguments a = parse(arguments);
  const std::vector<NamedVersion> versions = name_versions(a.versions, a.root);
  const std::vector<Score> scores = a.images ? image_scores(a, versions) : text_scores(a, versions);
  std::vector<Json> results;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    results.push_back(
        score_json(a, versions[i % versions.size()].label, a.data[i / versions.size()], scores[i]));
  }
  if (a.json) {
    std::cout << (results.size() == 1 ? results[0] : Json{{"results", results}}).dump(2) << "\n";
  } else {
    a.images ? print_images(results) : print_texts(results);
  }
  return 0;
}

}  // namespace lora
