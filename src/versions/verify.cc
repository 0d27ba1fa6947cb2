// SPDX-License-Identifier: Apache-2.0
#include "versions/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/paths.h"
#include "base/text.h"
#include "io/safetensors.h"
#include "versions/lineage.h"
#include "versions/refs.h"
#include "versions/store.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

bool is_covered(const std::string& name) {
  return name != kManifestName && name != kSumsName && !name.starts_with("logs/") &&
         !name.starts_with("checkpoints/") && !name.ends_with(".tmp");
}

std::string brief(const std::string& hash) { return hash.substr(0, 12); }

// A line is 64 hexadecimal digits, two blanks, the name.
std::map<std::string, std::string> parse_sums(const std::string& text, VerifyReport& report) {
  constexpr std::size_t kDigits = 64;
  std::map<std::string, std::string> sums;
  for (const std::string& line : split(text, '\n')) {
    if (line.empty()) continue;
    if (line.size() < kDigits + 3 || line[kDigits] != ' ') {
      report.problems.push_back(fmt::format("{}: a line is no checksum ('{}')", kSumsName, line));
      continue;
    }
    sums[line.substr(kDigits + 2)] = line.substr(0, kDigits);
  }
  return sums;
}

void check_file(const Path& folder, const std::string& name, const std::string& expected,
                VerifyReport& report) {
  const std::string problem = problem_below(folder, name);
  if (!problem.empty()) {
    report.problems.push_back(fmt::format("{}: '{}' {}", kSumsName, name, problem));
    return;
  }
  std::error_code ignored;
  if (!fs::is_regular_file(folder / name, ignored)) {
    report.problems.push_back(name + ": missing");
    return;
  }
  ++report.files;
  const std::string found = sha256_file(folder / name);
  if (found == expected) return;
  report.problems.push_back(
      fmt::format("{}: does not match its recorded hash (found {}, expected {})", name,
                  brief(found), brief(expected)));
}

void check_sums(const Path& folder, const Version& version, VerifyReport& report) {
  if (!fs::is_regular_file(folder / kSumsName)) {
    report.problems.push_back(fmt::format("{}: missing", kSumsName));
    return;
  }
  const std::string text = read_file(folder / kSumsName);
  if (sha256(text) != version.files_sha256) {
    report.problems.push_back(fmt::format("{}: does not match the manifest (found {}, expected {})",
                                          kSumsName, brief(sha256(text)),
                                          brief(version.files_sha256)));
  }
  const auto sums = parse_sums(text, report);
  for (const auto& [name, expected] : sums) check_file(folder, name, expected, report);
  for (const std::string& name : covered_files(folder)) {
    if (!sums.contains(name)) report.notes.push_back(name + ": added after the commit");
  }
}

void check_weights(const Path& folder, const Version& version, VerifyReport& report) {
  const Path file = folder / version.weights.file;
  if (version.weights.file.empty() || !fs::is_regular_file(file)) return;  // told by check_sums
  if (sha256_file(file) == version.weights.file_sha256) return;
  std::string tensors;
  try {
    tensors = tensor_sha256(*SafetensorsFile::open(file));
  } catch (const Error&) {
    tensors = "unreadable";
  }
  const bool same = tensors == version.weights.tensor_sha256;
  report.problems.push_back(fmt::format("{}: not the adapter of the manifest ({})",
                                        version.weights.file,
                                        same ? "only its metadata differ" : "its numbers differ"));
}

void check_parent(const Path& root, const ParentLink& link, VerifyReport& report) {
  const FoundParent found = follow_link(link, root);
  const std::string where = "parent " + link.name + ": ";
  if (!found.absent.empty()) report.notes.push_back(where + found.absent);
  if (!found.problem.empty()) report.problems.push_back(where + found.problem);
}

}  // namespace

std::vector<std::string> covered_files(const Path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!fs::is_regular_file(entry.symlink_status())) continue;
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    if (is_covered(name)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::string sums_text(const Path& folder) {
  std::string text;
  for (const std::string& name : covered_files(folder)) {
    text += sha256_file(folder / name) + "  " + name + "\n";
  }
  return text;
}

bool is_recorded(const Path& folder, const std::string& name) {
  VerifyReport unused;
  std::error_code ignored;
  if (!fs::is_regular_file(folder / kSumsName, ignored)) return true;  // told by verify_version
  return parse_sums(read_file(folder / kSumsName), unused).contains(name);
}

void require_recorded(const Path& folder, const Version& version) {
  VerifyReport report;
  check_weights(folder, version, report);
  if (!fs::is_regular_file(folder / kSumsName)) {
    report.problems.push_back(fmt::format("{}: missing", kSumsName));
  } else {
    for (const auto& [name, expected] : parse_sums(read_file(folder / kSumsName), report)) {
      const bool adapter = name.ends_with(".safetensors") || name == "adapter_config.json";
      const bool beside = name.find('/') == std::string::npos;
      if (adapter && beside) check_file(folder, name, expected, report);
    }
    if (sha256(read_file(folder / kSumsName)) != version.files_sha256) {
      report.problems.push_back(fmt::format("{}: does not match the manifest", kSumsName));
    }
  }
  if (report.problems.empty()) return;
  fail_integrity(folder.string(), ": not as recorded (", report.problems.front(),
                 "); restore it from a copy: `lora verify ", folder.string(), "` tells more");
}

VerifyReport verify_version(const Path& folder) {
  VerifyReport report;
  report.name = name_of(folder);
  report.committed = is_committed(folder);
  const std::string lost = lost_commit(folder);
  if (!lost.empty()) {
    report.committed = true;
    report.problems.push_back(lost);
    return report;
  }
  if (!report.committed) {
    report.problems.push_back("not committed: no " + std::string(kManifestName));
    return report;
  }
  Version version;
  try {
    version = read_version(folder);
  } catch (const Error& error) {
    report.problems.emplace_back(error.what());
    return report;
  }
  if (version.name != report.name) {
    report.notes.push_back("was committed under the name " + version.name);
  }
  check_sums(folder, version, report);
  check_weights(folder, version, report);
  for (const ParentLink& link : version.parents) check_parent(root_of(folder), link, report);
  return report;
}

std::vector<VerifyReport> verify_gone(const Path& root) {
  std::map<std::string, std::string> committed;  // name -> when
  for (const RefMove& move : read_journal(root)) {
    if (move.event == "commit") committed[move.to] = move.time;
  }
  std::vector<VerifyReport> gone;
  std::error_code ignored;
  for (const auto& [name, time] : committed) {
    if (name_problem(name).empty() && fs::exists(root / name, ignored)) continue;
    VerifyReport report{.name = name, .committed = true, .gone = true};
    report.notes.push_back("its folder is gone (the journal says that it was committed at " + time +
                           ")");
    for (const std::string& ref : ref_names(root)) {
      if (read_ref(root, ref) != name) continue;
      report.problems.push_back("the ref '" + ref + "' names it, and its folder is gone");
    }
    gone.push_back(std::move(report));
  }
  return gone;
}

}  // namespace lora
