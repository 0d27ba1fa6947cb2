// SPDX-License-Identifier: Apache-2.0
// Refs: names that move from version to version, as branches and tags do.
//   output/.versions/refs/NAME       one line, the name of a version; NAME may have one slash
//   output/.versions/journal.jsonl   every move, append-only; written before the ref itself
// Refs and journal are changed under output/.versions/lock only.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/files.h"
#include "versions/file_lock.h"

namespace lora {

// Holds output/.versions/lock for as long as it lives; waits for other processes, after a second
// saying so. Throws Error where one holds it longer than `patience`.
class StoreLock {
 public:
  explicit StoreLock(Path root, std::chrono::seconds patience = std::chrono::minutes(5));
  const Path& root() const { return root_; }

 private:
  Path root_;
  FileLock lock_;
};

// One line of the journal.
struct RefMove {
  std::string time;   // UTC; set by move_ref
  std::string event;  // "commit", "promote", "rollback", ...
  std::string ref;
  std::string from, to;  // versions; from is "" for a new ref and set by move_ref
  std::string reason;
  std::string actor;  // $USER; set by move_ref
};

// All refs, sorted: "latest", "starli/current".
std::vector<std::string> ref_names(const Path& root);

// The version that a ref names; "" where there is no such ref.
std::string read_ref(const Path& root, const std::string& ref);

// Moves the ref, or makes it: first the journal, then the ref, each durable. Throws Error (usage)
// for a name that a ref cannot have and for a version that is not committed.
void move_ref(const StoreLock& lock, RefMove move);

// Every move, oldest first; of one ref where it is named. A line that was cut off by a crash moved
// nothing and is left out.
std::vector<RefMove> read_journal(const Path& root, const std::string& ref = "");

// Moves that are in the journal and did not reach their ref, newest last: what a crash between the
// two leaves.
std::vector<RefMove> unfinished_moves(const Path& root);

// Lets such a move reach its ref.
void finish_move(const StoreLock& lock, const RefMove& move);

// The versions that the ref would go through when it is rolled back, oldest first, ending with the
// one it names: a "rollback" leaves out what it went back over, and so does a crash between
// journal and ref.
std::vector<std::string> ref_values(const Path& root, const std::string& ref);

// Where a rollback of the ref leads; "" where it has no earlier value.
std::string previous_version(const Path& root, const std::string& ref);

// Throws Error (usage) for a name that a version made in `root` must not have: spelling, reserved
// words (config/version_name.h), refs. `folder` is the version's folder, for the message.
void check_version_name(const Path& folder);

// The same for a new ref, which must not be the name of a version, either.
void check_ref_name(const Path& root, const std::string& ref);

}  // namespace lora
