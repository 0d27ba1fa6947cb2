// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/reading.h"
#include "base/shown.h"
#include "cli/command_line.h"
#include "commands/columns.h"
#include "commands/session_options.h"
#include "runs/evaluate.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct EvalArguments {
  SessionOptions session;
  std::vector<std::string> versions, data;
  std::string root, format;
  ColumnNames columns;
  std::int64_t max_length = 0;
  bool exact_match = false, json = false;
  bool images = false;  // the kind of base
};

EvalArguments parse(const Arguments& arguments) {
  const CommandLine line("eval", arguments);
  const bool images = is_image_base(line.text("--base"));
  line.settle(images ? kOfImages : kOfTexts);
  return {.session = session_options(line),
          .versions = line.list("--version"),
          .data = line.list("--data"),
          .root = line.text("--root"),
          .format = line.text("--dataset-format"),
          .columns = columns_of("eval", line.list("--column")),
          .max_length = line.whole("--max-seq-length"),
          .exact_match = line.given("--exact-match"),
          .json = line.given("--json"),
          .images = images};
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

// What the first version with a manifest was trained with: the day of its template, and its columns
// where none are named.
const Version* manifest_of(const std::vector<NamedVersion>& versions) {
  for (const NamedVersion& named : versions) {
    if (named.located && named.located->version) return &*named.located->version;
  }
  return nullptr;
}

std::vector<Score> text_scores(EvalArguments a, const std::vector<NamedVersion>& versions) {
  TextsToRead from{.format = a.format, .columns = a.columns, .purpose = Purpose::measuring};
  if (const Version* manifest = manifest_of(versions)) {
    a.session.template_date = manifest->prompt_template.date;
    if (from.columns.empty()) from.columns = manifest->data.columns;
  }
  const TextSession session = open_text_session(a.session);
  std::vector<TextSet> sets;
  for (const std::string& path : a.data) {
    from.path = path;
    sets.push_back(reading([&] { return read_text_set(session, from, a.max_length); }));
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
  say(fmt::format("{:<{}}  {:>9}  {:>10}  {:>7}  {}{}", "version", width, "loss", "perplexity",
                  "tokens", results[0]["exact_match"].is_null() ? "" : "   exact  ", "data"));
  for (const Json& r : results) {
    say(shown(fmt::format("{:<{}}  {:>9.4f}  {:>10.2f}  {:>7}  {}  {}",
                          r["version"].get<std::string>(), width, r["loss"].get<double>(),
                          r["perplexity"].get<double>(), r["tokens"].get<std::int64_t>(),
                          exact_text(r), r["data"].get<std::string>())));
  }
}

void print_images(const std::vector<Json>& results) {
  for (const Json& r : results) {
    say(shown(fmt::format("{:<28} loss {:.5f}  {} pictures of {}",
                          r["version"].get<std::string>(), r["loss"].get<double>(),
                          r["pictures"].get<int>(), r["data"].get<std::string>())));
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
    say_json(results.size() == 1 ? results[0] : Json{{"results", results}});
  } else {
    a.images ? print_images(results) : print_texts(results);
  }
  return 0;
}

}  // namespace lora
