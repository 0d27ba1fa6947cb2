// SPDX-License-Identifier: Apache-2.0
// The folders of versions below one output root:
//   output/starli_v1/...                  a version, see version.h
//   output/.versions/{journal.jsonl, refs/, lock}, see refs.h, and hashcache.json
// Crash safety: a folder is reserved by mkdir; its files are synced before SHA256SUMS, and
// SHA256SUMS before version.json, which is renamed into place last. What comes after (the journal's
// line, the ref, read-only files) is made up for by the next command: complete_commits().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/draft.h"
#include "base/files.h"
#include "base/paths.h"
#include "versions/running.h"
#include "versions/version.h"

namespace lora {

// The output root of a version's folder. Its name is name_of(folder).
inline Path root_of(const Path& folder) { return folder_around(folder); }

// Throws Error (usage) where a run cannot have this folder: it exists, or its name is not free, or
// it lies in the folder of a version, or, with `resume`, it does not exist or is committed; where
// another process runs in it. (integrity): the journal says that it was committed.
void require_free(const Path& folder, bool resume);
// The same, and creates the folder of a new version.
void reserve_folder(const Path& folder, bool resume);

// Commits: every file of the folder is synced and hashed from disk, SHA256SUMS, version.json, the
// journal line and the ref `latest` follow; then the files become read-only. logs/ and
// checkpoints/ are not covered: they may still grow or go. version.weights.file must be in the
// folder; its hashes, files_sha256 and the id are filled here. Returns the manifest as written.
Version publish(const Path& folder, Version version);

// The same for a version that is made in one go: `draft` holds its files and becomes `folder`. One
// that is killed leaves no name taken.
Version publish(DraftFolder& draft, const Path& folder, Version version);

// Makes up for what killed programs have left undone in `root`: commits without their line in the
// journal, refs behind the journal, files that are not read-only, drafts. Never an error: where
// something cannot be done, the next command tries again.
void complete_commits(const Path& root);

// A run of ours that was not committed, rather than a folder of another program.
bool is_unfinished_run(const Path& folder);

// "" or, where the journal says that this folder was committed and its manifest is gone, what is
// missing and since when.
std::string lost_commit(const Path& folder);

// Where an adapter lies.
struct LocatedVersion {
  std::string name;                // the folder's name, or the file's without ending
  Path folder;                     // empty for a file on its own
  Path weights;                    // the safetensors file
  std::optional<Version> version;  // where the folder is a committed version
};

// Finds V: a version folder, a name or ref below `root`, a PEFT folder, or an adapter file. Throws
// Error (usage) naming what was looked for; an uncommitted run is refused. A folder below `root`
// that is called like a ref or a reserved word (earlier releases allowed it) is found by its path.
LocatedVersion locate_version(const std::string& argument, const Path& root);

// "starli_v1:0.8" -> {"starli_v1", 0.8}; without a weight 1. Throws Error (usage).
struct WeightedVersion {
  std::string name;
  double weight = 1;
};
WeightedVersion split_weight(const std::string& argument);

struct ListedVersion {
  std::string name;
  std::optional<Version> version;  // absent: uncommitted, or `problem`
  std::string problem;             // why the manifest cannot be read, "" = it can
  RunFacts run;
};

// Committed and uncommitted versions below `root`, oldest first, uncommitted ones last.
std::vector<ListedVersion> list_versions(const Path& root);

}  // namespace lora
