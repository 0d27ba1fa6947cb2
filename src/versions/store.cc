// SPDX-License-Identifier: Apache-2.0
#include "versions/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"
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

void make_read_only(const Path& path) {
  constexpr auto kWrite = fs::perms::owner_write | fs::perms::group_write | fs::perms::others_write;
  fs::permissions(path, kWrite, fs::perm_options::remove);
}

}  // namespace

Path root_of(const Path& folder) {
  Path clean = folder.lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();
  return clean.has_parent_path() ? clean.parent_path() : Path(".");
}

std::string name_of(const Path& folder) {
  return (fs::absolute(folder) / "").lexically_normal().parent_path().filename().string();
}

void require_free(const Path& folder, bool resume) {
  const std::string where = folder.string();
  if (!resume) check_version_name(folder);
  refuse_running(folder);
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
  const Path clean = root_of(folder) / name_of(folder);
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
  move_ref(lock, {.event = "commit", .ref = "latest", .to = version.name});
  for (const std::string& name : files) make_read_only(folder / name);
  make_read_only(folder / kSumsName);
  make_read_only(folder / kManifestName);
  return parse_version(manifest, (folder / kManifestName).string());
}

}  // namespace lora
