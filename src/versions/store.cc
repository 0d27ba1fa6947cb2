// SPDX-License-Identifier: Apache-2.0
#include "versions/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/folders.h"
#include "base/log.h"
#include "config/version_name.h"
#include "io/safetensors.h"
#include "versions/refs.h"
#include "versions/verify.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_errno(const Path& path, std::string_view what) {
  fail(path.string(), ": cannot be ", what, " (", std::strerror(errno),
       "); check permissions and free space");
}

void sync_file(const Path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail_errno(path, "opened");
  const int result = ::fsync(file);
  ::close(file);
  if (result != 0) fail_errno(path, "synced");
}

constexpr auto kWrite = fs::perms::owner_write | fs::perms::group_write | fs::perms::others_write;

// False where the file system cannot; version.json comes last and stands for the others.
bool make_read_only(const Path& folder) {
  std::vector<std::string> names = covered_files(folder);
  names.emplace_back(kSumsName);
  names.emplace_back(kManifestName);
  std::error_code error;
  for (const std::string& name : names) {
    fs::permissions(folder / name, kWrite, fs::perm_options::remove, error);
    if (error) return false;
  }
  return true;
}

bool is_writable(const Path& file) {
  std::error_code error;
  return (fs::status(file, error).permissions() & kWrite) != fs::perms::none && !error;
}

void refuse_inside_version(const Path& folder) {
  std::error_code ignored;
  Path around = (fs::absolute(folder, ignored) / "").lexically_normal().parent_path();
  while (around.has_relative_path()) {
    around = around.parent_path();
    const bool version = is_committed(around) && fs::exists(around / kSumsName, ignored);
    if (!version && !fs::exists(around / "logs" / "run.lock", ignored)) continue;
    fail_usage(folder.string(), ": lies in the folder of another version (", around.string(),
               "), which holds its own files only; choose another place");
  }
}

// What killed runs have left in this folder.
void remove_drafts_below(const Path& place) {
  std::vector<Path> folders = {place};
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(place, ignored)) {
    if (fs::is_directory(entry.symlink_status(ignored))) folders.push_back(entry.path());
  }
  for (const Path& folder : folders) remove_dead_drafts(folder);
}

void remove_drafts_of_root(const Path& root) {
  remove_dead_drafts(root);
  remove_drafts_below(root / ".versions");
}

// Everything of a commit that lies in the folder itself; version.json comes last.
Version seal(const Path& place, Version version) {
  remove_drafts_below(place);
  for (const std::string& name : covered_files(place)) sync_file(place / name);
  const Path weights = place / version.weights.file;
  version.weights.file_sha256 = sha256_file(weights);
  version.weights.tensor_sha256 = tensor_sha256(*SafetensorsFile::open(weights));
  const std::string sums = sums_text(place);
  write_file_atomic(place / kSumsName, sums);
  version.files_sha256 = sha256(sums);
  const std::string manifest = version_json(version);
  write_file_atomic(place / kManifestName, manifest);
  sync_folder(place);
  return parse_version(manifest, (place / kManifestName).string());
}

void announce(const StoreLock& lock, const std::string& name, const std::string& reason = "") {
  remove_drafts_of_root(lock.root());
  move_ref(lock, {.event = "commit", .ref = "latest", .to = name, .reason = reason});
}

// What killed programs have left in a root.
struct Undone {
  std::vector<std::string> unannounced, writable;
  std::vector<RefMove> moves;
  bool any() const { return !unannounced.empty() || !writable.empty() || !moves.empty(); }
};

// A version that was copied here under another name is none of this root's commits.
bool was_committed_here(const Path& folder) {
  try {
    return read_version(folder).name == name_of(folder);
  } catch (const Error&) {
    return false;
  }
}

Undone look_for_undone(const Path& root) {
  Undone undone;
  std::set<std::string> announced;
  for (const RefMove& move : read_journal(root)) {
    if (move.event == "commit") announced.insert(move.to);
  }
  for (const std::string& name : folders_in(root)) {
    if (!is_committed(root / name)) continue;
    if (is_writable(root / name / kManifestName)) undone.writable.push_back(name);
    if (!announced.contains(name) && spelling_problem(name).empty() &&
        was_committed_here(root / name)) {
      undone.unannounced.push_back(name);
    }
  }
  undone.moves = unfinished_moves(root);
  return undone;
}

}  // namespace

void require_free(const Path& folder, bool resume) {
  const std::string where = folder.string();
  complete_commits(root_of(folder));
  if (!resume) check_version_name(folder);
  refuse_inside_version(folder);
  refuse_running(folder);
  std::error_code ignored;
  const bool there = fs::is_directory(folder, ignored);
  if (resume && !there) {
    fail_usage(where, ": no run to resume (no such folder); start it without --resume");
  }
  if (resume && is_committed(folder)) {
    fail_usage(where,
               ": this version is finished, there is nothing to resume; choose a new output_dir");
  }
  const std::string lost = there ? lost_commit(folder) : "";
  if (!lost.empty()) fail_integrity(where, ": ", lost);
  if (resume || !there) return;
  if (is_committed(folder)) {
    fail_usage(where,
               ": this version exists, and versions are never overwritten; choose a new "
               "output_dir");
  }
  if (!is_unfinished_run(folder) && !fs::is_empty(folder, ignored)) {
    fail_usage(where,
               ": this folder exists and holds files of something else; choose another name, or "
               "move it away");
  }
  fail_usage(where,
             ": this folder exists (an unfinished run?); continue it with --resume, or "
             "choose a new output_dir");
}

void reserve_folder(const Path& folder, bool resume) {
  require_free(folder, resume);
  if (resume) return;
  fs::create_directories(root_of(folder));
  std::error_code error;
  const Path clean = root_of(folder) / name_of(folder);
  if (fs::create_directory(clean, error)) return sync_folder(root_of(folder));
  require_free(folder, false);  // another run was faster
  fail(folder.string(), ": cannot be created (", error.message(),
       "); check permissions and free space");
}

Version publish(const Path& folder, Version version) {
  const StoreLock lock(root_of(folder));
  if (is_committed(folder)) {
    fail_usage(folder.string(), ": committed already; choose a new output_dir");
  }
  Version written = seal(folder, std::move(version));
  announce(lock, written.name);
  if (!make_read_only(folder)) {
    info(folder.string() + ": its files cannot be made read-only on this file system");
  }
  return written;
}

Version publish(DraftFolder& draft, const Path& folder, Version version) {
  const StoreLock lock(root_of(folder));
  Version written = seal(draft.path(), std::move(version));
  draft.move_new();
  announce(lock, written.name);
  make_read_only(folder);
  return written;
}

void complete_commits(const Path& root) {
  std::error_code ignored;
  if (!fs::is_directory(root / ".versions", ignored)) return;
  try {
    if (!look_for_undone(root).any()) return;
    const StoreLock lock(root, std::chrono::seconds(0));  // held: its holder does it
    const Undone undone = look_for_undone(root);
    for (const RefMove& move : undone.moves) finish_move(lock, move);
    for (const std::string& name : undone.unannounced) announce(lock, name, "after a crash");
    for (const std::string& name : undone.writable) make_read_only(root / name);
    remove_drafts_of_root(root);
  } catch (const std::exception&) {
    return;  // a medium that is only read, a lock that is held
  }
}

bool is_unfinished_run(const Path& folder) {
  std::error_code ignored;
  return !is_committed(folder) && (fs::exists(folder / "config.resolved.yaml", ignored) ||
                                   fs::exists(folder / "checkpoints", ignored) ||
                                   fs::exists(folder / "logs" / "run.json", ignored));
}

std::string lost_commit(const Path& folder) {
  if (is_committed(folder)) return "";
  std::string time;
  for (const RefMove& move : read_journal(root_of(folder))) {
    if (move.event == "commit" && move.to == name_of(folder)) time = move.time;
  }
  const RunFacts run = look_at_run(folder);
  const bool other_run = run.status && run.status->started > time;  // the folder was made anew
  if (time.empty() || other_run) return "";
  return join("its ", kManifestName, " is missing (the journal says that it was committed at ",
              time, "); restore it from a copy");
}

}  // namespace lora
