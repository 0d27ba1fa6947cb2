// SPDX-License-Identifier: Apache-2.0
// Finding versions: the second half of store.h.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/folders.h"
#include "base/numbers.h"
#include "base/text.h"
#include "config/version_name.h"
#include "versions/refs.h"
#include "versions/store.h"
#include "versions/verify.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

void refuse_unfinished(const Path& folder) {
  complete_commits(root_of(folder));
  const std::string lost = lost_commit(folder);
  if (!lost.empty()) fail_integrity(folder.string(), ": ", lost);
  if (!is_unfinished_run(folder)) return;
  refuse_running(folder);
  fail_usage(folder.string(), ": this run was not finished (no ", kManifestName,
             "); finish it with `lora train --resume`, or name another version");
}

Path weights_in(const Path& folder) {
  for (const std::string_view name :
       {kWeightsName, std::string_view("adapter_model.safetensors")}) {
    if (fs::is_regular_file(folder / name)) return folder / name;
  }
  std::vector<Path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".safetensors") found.push_back(entry.path());
  }
  if (found.size() == 1) return found[0];
  fail_usage(folder.string(), ": no adapter to take (found ", found.size(),
             " .safetensors files, expected ", kWeightsName,
             " or adapter_model.safetensors); name the file itself");
}

LocatedVersion located_folder(const Path& folder) {
  refuse_unfinished(folder);
  LocatedVersion located;
  located.folder = (folder / "").lexically_normal().parent_path();
  located.name = name_of(folder);
  if (is_committed(folder)) located.version = read_version(folder);
  located.weights = weights_in(folder);
  return located;
}

LocatedVersion located_file(const Path& file) {
  const Path folder = file.parent_path().empty() ? Path(".") : file.parent_path();
  refuse_unfinished(folder);
  LocatedVersion located{file.stem().string(), {}, file, {}};
  // A file that was put there after the commit is no part of the version.
  if (!is_committed(folder) || !is_recorded(folder, file.filename().string())) return located;
  located.version = read_version(folder);
  located.folder = folder;
  located.name = located.version->name;
  return located;
}

LocatedVersion located_ref(const std::string& ref, const std::string& version, const Path& root) {
  if (spelling_problem(version).empty() && is_committed(root / version)) {
    return located_folder(root / version);
  }
  fail_usage("version '", ref, "': the ref names '", version, "', which is no version in ",
             root.string(), "; `lora log` lists them");
}

// A folder of an earlier release may be called like a ref or a reserved word.
void require_one_meaning(const std::string& name, const std::string& target, const Path& root) {
  const std::string folder = (root / name).string();
  if (target == name) return;
  if (!target.empty()) {
    fail_usage("version '", name, "': has two meanings (found the folder ", folder,
               " and the ref of ", target, "); write ", folder, " or ", target);
  }
  if (reserved_meaning(name).empty()) return;
  fail_usage("version '", name, "': stands for ", reserved_meaning(name), "; write ", folder,
             " for the version of this name");
}

}  // namespace

LocatedVersion locate_version(const std::string& argument, const Path& root) {
  const Path path = argument;
  std::error_code ignored;
  complete_commits(root);
  if (fs::is_regular_file(path, ignored)) return located_file(path);
  const bool simple = !argument.empty() && argument.find('/') == std::string::npos;
  const std::string target = read_ref(root, argument);
  if (simple && fs::is_directory(root / path, ignored)) {
    require_one_meaning(argument, target, root);
    return located_folder(root / path);
  }
  if (fs::is_directory(path, ignored)) return located_folder(path);
  if (!target.empty()) return located_ref(argument, target, root);
  const std::vector<std::string> names = folders_in(root);
  const std::string suggestion = did_you_mean(argument, names);
  fail_usage("version '", argument, "': not found (expected a file, a folder, or one of the ",
             "versions in ", root.string(), ": ", names.empty() ? "none there" : join_words(names),
             ")", suggestion.empty() ? "; `lora log` lists them" : suggestion);
}

WeightedVersion split_weight(const std::string& argument) {
  const std::size_t colon = argument.rfind(':');
  if (colon == std::string::npos || argument.find('/', colon) != std::string::npos) {
    return {argument, 1};
  }
  const std::string number = argument.substr(colon + 1);
  const std::optional<double> weight = finite_number(number);
  if (!weight || !(*weight > -100 && *weight < 100)) {
    fail_usage("version '", argument, "': not a weight (found '", number,
               "', expected a number such as 0.8); write NAME or NAME:0.8");
  }
  return {argument.substr(0, colon), *weight};
}

std::vector<ListedVersion> list_versions(const Path& root) {
  std::vector<ListedVersion> list;
  complete_commits(root);
  for (const std::string& name : folders_in(root)) {
    const Path folder = root / name;
    const std::string lost = lost_commit(folder);
    if (!is_committed(folder) && !is_unfinished_run(folder) && lost.empty()) continue;
    ListedVersion row{.name = name, .problem = lost, .run = look_at_run(folder)};
    try {
      if (is_committed(folder)) row.version = read_version(folder);
    } catch (const Error& error) {
      row.problem = error.what();
    }
    list.push_back(row);
  }
  std::ranges::stable_sort(list, {}, [](const ListedVersion& row) {
    return row.version ? row.version->run.created : std::string("~");
  });
  return list;
}

}  // namespace lora
