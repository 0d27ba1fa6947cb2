// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "commands/cli.h"
#include "commands/history.h"
#include "versions/store.h"

namespace lora {
namespace {

using Json = nlohmann::json;

std::vector<std::string> parent_names(const Version& version) {
  std::vector<std::string> names;
  for (const ParentLink& link : version.parents) names.push_back(link.name);
  return names;
}

Json as_json(const ListedVersion& row) {
  Json json = {{"name", row.name}, {"committed", row.version.has_value()}};
  if (!row.problem.empty()) json["problem"] = row.problem;
  if (!row.version) return json;
  const Version& version = *row.version;
  json["id"] = version.id;
  json["number"] = version.number;
  json["parents"] = parent_names(version);
  json["created"] = version.run.created;
  json["task_type"] = version.task_type;
  json["new_samples"] = version.data.new_samples;
  json["replay_samples"] = version.data.replay_samples;
  json["steps"] = version.run.steps;
  json["metrics"] = version.metrics;
  return json;
}

std::string as_line(const ListedVersion& row) {
  if (!row.problem.empty()) return fmt::format("{}  {}", row.name, row.problem);
  if (!row.version) return fmt::format("{}  not finished: continue it with --resume", row.name);
  const Version& version = *row.version;
  const std::vector<std::string> parents = parent_names(version);
  std::string line = fmt::format(
      "{}  {}  {}  {}  {} new samples", row.name, version.id.substr(0, 12), version.run.created,
      parents.empty() ? "from the base" : "from " + join_words(parents, " + "),
      version.data.new_samples);
  if (version.data.replay_samples > 0) {
    line += fmt::format(" + {} replayed", version.data.replay_samples);
  }
  for (const char* key : {"loss", "validation_loss"}) {
    const auto found = version.metrics.find(key);
    if (found != version.metrics.end()) line += fmt::format("  {} {:.4g}", key, found->second);
  }
  return line;
}

}  // namespace

int run_log(const Arguments& arguments) {
  std::string root = "output";
  bool json = false;
  CLI::App app;
  app.add_option("--output", root);
  app.add_flag("--json", json);
  parse_arguments(app, "log", arguments);
  const std::vector<ListedVersion> list = list_versions(root);
  if (json) {
    Json out = Json::array();
    for (const ListedVersion& row : list) out.push_back(as_json(row));
    fmt::print("{}\n", Json{{"output", root}, {"versions", out}}.dump(2));
    return 0;
  }
  for (const ListedVersion& row : list) fmt::print("{}\n", as_line(row));
  if (list.empty()) fmt::print("no versions in {}\n", root);
  return 0;
}

}  // namespace lora
