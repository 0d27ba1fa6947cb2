// SPDX-License-Identifier: Apache-2.0
#include "versions/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/shown.h"
#include "cli/command_line.h"
#include "versions/report.h"
#include "versions/store.h"

namespace lora {
namespace {

// The folder meant: also one whose manifest is broken or absent, unlike locate_version.
Path folder_of(const std::string& name, const Path& root) {
  complete_commits(root);
  if (std::filesystem::is_directory(root / name)) return root / name;
  if (std::filesystem::is_directory(name)) return name;
  const LocatedVersion found = locate_version(name, root);
  if (!found.folder.empty()) return found.folder;
  fail_usage("lora verify: ", name, ": a file on its own has no record; name a version's folder");
}

// Everything that the root holds, and what it should hold.
std::vector<VerifyReport> verify_all(const Path& root) {
  std::vector<VerifyReport> reports;
  for (const ListedVersion& row : list_versions(root)) {
    reports.push_back(verify_version(root / row.name));
  }
  for (VerifyReport& gone : verify_gone(root)) reports.push_back(std::move(gone));
  if (reports.empty()) {
    fail_usage("lora verify: no versions in ", root.string(), "; name a folder, or --root DIR");
  }
  return reports;
}

std::string headline(const VerifyReport& report) {
  if (!report.problems.empty()) return "DOES NOT MATCH its record";
  return report.gone ? "gone" : fmt::format("as recorded ({} files)", report.files);
}

void print_report(const VerifyReport& report) {
  if (!report.committed) {
    say(shown(report.name) + ": not finished: nothing to verify yet");
    return;
  }
  say(shown(report.name + ": " + headline(report)));
  for (const std::string& problem : report.problems) say("  " + shown(problem));
  for (const std::string& note : report.notes) say("  note: " + shown(note));
}

}  // namespace

int run_verify(const Arguments& arguments) {
  const CommandLine line("verify", arguments);
  const std::vector<std::string>& names = line.list("versions");
  const std::string root = line.text("--root");
  const bool json = line.given("--json");
  std::vector<VerifyReport> reports;
  for (const std::string& name : names) reports.push_back(verify_version(folder_of(name, root)));
  if (names.empty()) reports = verify_all(root);
  if (!json) std::ranges::for_each(reports, print_report);
  if (json) say_json(verification_report(reports));
  const bool unfinished = !std::ranges::all_of(reports, &VerifyReport::committed);
  if (!as_recorded(reports)) return static_cast<int>(Exit::integrity);
  // An unfinished run is a failure only where it was asked for by name.
  return static_cast<int>(unfinished && !names.empty() ? Exit::failed : Exit::done);
}

}  // namespace lora
