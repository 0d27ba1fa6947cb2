// SPDX-License-Identifier: Apache-2.0
#include "versions/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_text.h"

namespace lora {
namespace {

using nlohmann::json;

json row_of(const ListedVersion& row) {
  json out = {{"name", row.name},
              {"committed", row.run.state == RunState::committed},
              {"state", run_state_name(row.run.state)}};
  if (!row.problem.empty()) out["problem"] = row.problem;
  if (row.version) {
    const Version& version = *row.version;
    out["id"] = version.id;
    out["number"] = version.number;
    out["parents"] = parent_names(version);
    out["created"] = version.run.created;
    out["task_type"] = version.task_type;
    out["new_samples"] = version.data.new_samples;
    out["replay_samples"] = version.data.replay_samples;
    out["steps"] = version.run.steps;
    out["metrics"] = version.metrics;
  } else if (row.run.status && row.run.state != RunState::committed) {
    const RunStatus& status = *row.run.status;
    out["pid"] = status.pid;
    out["host"] = status.host;
    out["started"] = status.started;
    out["updated"] = status.updated;
    out["step"] = status.step;
    out["of"] = status.of;
  }
  return out;
}

bool differs(const VerifyReport& report) { return report.committed && !report.problems.empty(); }

}  // namespace

json list_report(const Path& root, const std::vector<ListedVersion>& list) {
  json rows = json::array();
  for (const ListedVersion& row : list) rows.push_back(row_of(row));
  return {{"output", root.string()}, {"versions", rows}};
}

json version_report(const Path& folder) {
  read_version(folder);
  const Path file = folder / kManifestName;
  return parse_json<json>(read_file(file), file.string(), "restore the folder from a copy");
}

json verification_report(const std::vector<VerifyReport>& reports) {
  json rows = json::array();
  for (const VerifyReport& report : reports) {
    rows.push_back({{"name", report.name},
                    {"committed", report.committed},
                    {"files", report.files},
                    {"problems", report.problems},
                    {"notes", report.notes},
                    {"ok", report.committed && report.problems.empty()}});
  }
  return {{"versions", rows}, {"ok", as_recorded(reports)}};
}

bool as_recorded(const std::vector<VerifyReport>& reports) {
  return std::ranges::none_of(reports, differs);
}

std::vector<std::string> parent_names(const Version& version) {
  std::vector<std::string> names;
  for (const ParentLink& link : version.parents) names.push_back(link.name);
  return names;
}

}  // namespace lora
