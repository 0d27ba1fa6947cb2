// SPDX-License-Identifier: Apache-2.0
#include "versions/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "io/safetensors.h"
#include "versions/verify.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

Path store_folder(const Path& root) { return root / ".versions"; }

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

void make_read_only(const Path& path) {
  constexpr auto kWrite = fs::perms::owner_write | fs::perms::group_write | fs::perms::others_write;
  fs::permissions(path, kWrite, fs::perm_options::remove);
}

}  // namespace

StoreLock::StoreLock(const Path& root) {
  fs::create_directories(store_folder(root));
  const Path path = store_folder(root) / "lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) fail_errno(path, "opened");
  while (::flock(file_, LOCK_EX) != 0) {
    if (errno != EINTR) fail_errno(path, "locked");
  }
}

StoreLock::~StoreLock() { ::close(file_); }

Path root_of(const Path& folder) {
  Path clean = folder.lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();
  return clean.has_parent_path() ? clean.parent_path() : Path(".");
}

void require_free(const Path& folder, bool resume) {
  const std::string where = folder.string();
  const bool there = fs::is_directory(folder);
  if (resume && !there) {
    fail_usage(where, ": no run to resume (no such folder); start it without --resume");
  }
  if (resume && is_committed(folder)) {
    fail_usage(where,
               ": this version is finished, there is nothing to resume; choose a new output_dir");
  }
  if (resume || !there) return;
  if (is_committed(folder)) {
    fail_usage(where,
               ": this version exists, and versions are never overwritten; choose a new "
               "output_dir");
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
  const Path clean = root_of(folder) / (folder / "").parent_path().filename();
  if (fs::create_directory(clean, error)) return sync_folder(root_of(folder));
  require_free(folder, false);  // another run was faster
  fail(folder.string(), ": cannot be created (", error.message(),
       "); check permissions and free space");
}

Version publish(const Path& folder, Version version) {
  const Path root = root_of(folder);
  const StoreLock lock(root);
  if (is_committed(folder)) {
    fail_usage(folder.string(), ": committed already; choose a new output_dir");
  }
  const std::vector<std::string> files = covered_files(folder);
  for (const std::string& name : files) sync_file(folder / name);
  const Path weights = folder / version.weights.file;
  version.weights.file_sha256 = sha256_file(weights);
  version.weights.tensor_sha256 = tensor_sha256(*SafetensorsFile::open(weights));
  const std::string sums = sums_text(folder);
  write_file_atomic(folder / kSumsName, sums);
  version.files_sha256 = sha256(sums);
  const std::string manifest = version_json(version);
  write_file_atomic(folder / kManifestName, manifest);
  sync_folder(folder);
  append_journal(root, "commit", "latest", read_ref(root, "latest"), version.name, "");
  write_ref(root, "latest", version.name);
  for (const std::string& name : files) make_read_only(folder / name);
  make_read_only(folder / kSumsName);
  make_read_only(folder / kManifestName);
  return parse_version(manifest, (folder / kManifestName).string());
}

void append_journal(const Path& root, const std::string& event, const std::string& ref,
                    const std::string& from, const std::string& to, const std::string& reason) {
  fs::create_directories(store_folder(root));
  const Path path = store_folder(root) / "journal.jsonl";
  const char* user = std::getenv("USER");
  const nlohmann::json line = {{"time", utc_now()},
                               {"event", event},
                               {"ref", ref},
                               {"from", from},
                               {"to", to},
                               {"reason", reason},
                               {"actor", user == nullptr ? "" : user}};
  const std::string text = line.dump() + "\n";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) fail_errno(path, "opened");
  const bool good = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                    ::fsync(file) == 0;
  const int error = errno;
  ::close(file);
  errno = error;
  if (!good) fail_errno(path, "written");
}

std::string read_ref(const Path& root, const std::string& ref) {
  const Path path = store_folder(root) / "refs" / ref;
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) ? trim(read_file(path)) : "";
}

void write_ref(const Path& root, const std::string& ref, const std::string& version) {
  write_file_atomic(store_folder(root) / "refs" / ref, version + "\n");
}

}  // namespace lora
