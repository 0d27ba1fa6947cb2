// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/shown.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "config/version_name.h"
#include "versions/report.h"

namespace lora {
namespace {

std::string as_line(const ListedVersion& row, const Path& root) {
  if (!row.problem.empty()) return fmt::format("{}  {}", row.name, row.problem);
  if (!row.version) return fmt::format("{}  {}", row.name, run_text(row.run));
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
  const std::string_view meaning = reserved_meaning(row.name);
  if (!meaning.empty()) {
    line +=
        fmt::format("  (its name stands for {}: write {})", meaning, (root / row.name).string());
  }
  return line;
}

}  // namespace

int run_log(const Arguments& arguments) {
  const CommandLine line("log", arguments);
  const std::string root = line.text("--root");
  if (line.given("--root") && !std::filesystem::is_directory(root)) {
    fail_usage("lora log: --root ", root, ": no such folder; check the path");
  }
  const std::vector<ListedVersion> list = list_versions(root);
  if (line.given("--json")) {
    say_json(list_report(root, list));
    return 0;
  }
  for (const ListedVersion& row : list) say(shown(as_line(row, root)));
  if (list.empty()) say("no versions in " + root);
  return 0;
}

}  // namespace lora
