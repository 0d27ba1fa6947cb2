// SPDX-License-Identifier: Apache-2.0
#include "base/draft.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHead = ".lora-", kTail = ".tmp";
constexpr std::size_t kDigits = 16;

[[noreturn]] void fail_errno(const Path& path, const char* action) {
  fail(path.string(), ": cannot ", action, ": ", std::strerror(errno));
}

[[noreturn]] void fail_exists(const Path& path) {
  fail_usage(path.string(), ": exists already and is never overwritten; choose another name");
}

Path folder_of(const Path& path) {
  return path.has_parent_path() ? path.parent_path() : Path(".");
}

Path fresh_name(const Path& folder) {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) fail_errno(folder, "name a file");
  return folder / fmt::format("{}{:016x}{}", kHead, number, kTail);
}

void make_folder_of(const Path& path) {
  std::error_code ignored;  // a real problem shows when the draft is made
  fs::create_directories(folder_of(path), ignored);
}

// Locks what was just made; false where somebody took it for dead in between.
bool hold(int file) {
  ::flock(file, LOCK_EX | LOCK_NB);  // file systems without locks: nobody else can tell, either
  struct stat info {};
  return ::fstat(file, &info) == 0 && info.st_nlink > 0;
}

// Not every file system can do it in one step.
void rename_new(const Path& from, const Path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return;
  if (errno == EEXIST || errno == ENOTEMPTY) fail_exists(to);
  if (errno != EINVAL && errno != ENOSYS) fail_errno(to, "create");
  struct stat info {};
  if (::lstat(to.c_str(), &info) == 0) fail_exists(to);
  if (::rename(from.c_str(), to.c_str()) != 0) fail_errno(to, "create");
}

bool is_dead(const Path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return false;
  const bool dead = ::flock(file, LOCK_EX | LOCK_NB) == 0;
  ::close(file);
  return dead;
}

}  // namespace

bool is_draft_name(std::string_view name) {
  if (name.size() != kHead.size() + kDigits + kTail.size()) return false;
  const std::string_view digits = name.substr(kHead.size(), kDigits);
  return name.starts_with(kHead) && name.ends_with(kTail) &&
         digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

DraftFile::DraftFile(const Path& path) : path_(path) {
  make_folder_of(path);
  do {
    if (file_ >= 0) ::close(file_);
    draft_ = fresh_name(folder_of(path));
    file_ = ::open(draft_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file_ < 0) fail_errno(path, "create");
  } while (!hold(file_));
}

DraftFile::~DraftFile() {
  if (!draft_.empty()) ::unlink(draft_.c_str());
  ::close(file_);
}

void DraftFile::write(std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(file_, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(path_, "write");
    content.remove_prefix(static_cast<std::size_t>(n));
  }
}

void DraftFile::reserve(std::size_t bytes) {
  errno = ::posix_fallocate(file_, 0, static_cast<off_t>(bytes));
  if (errno != 0) fail_errno(path_, "reserve its space");
}

void DraftFile::sync() {
  if (::fsync(file_) != 0) fail_errno(path_, "sync");
}

void DraftFile::replace() {
  if (::rename(draft_.c_str(), path_.c_str()) != 0) fail_errno(path_, "replace");
  draft_.clear();
}

void DraftFile::move_new() {
  rename_new(draft_, path_);
  draft_.clear();
}

DraftFolder::DraftFolder(const Path& path) : path_(path) {
  if (!path_.has_filename()) path_ = path_.parent_path();  // "out/"
  make_folder_of(path_);
  remove_dead_drafts(folder_of(path_));
  do {
    if (folder_ >= 0) ::close(folder_);
    draft_ = fresh_name(folder_of(path_));
    if (::mkdir(draft_.c_str(), 0755) != 0) fail_errno(path_, "create");
    folder_ = ::open(draft_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  } while (folder_ < 0 || !hold(folder_));
}

DraftFolder::~DraftFolder() {
  std::error_code ignored;
  if (!draft_.empty()) fs::remove_all(draft_, ignored);
  ::close(folder_);
}

void DraftFolder::move_new() {
  sync_folder(draft_);
  rename_new(draft_, path_);
  draft_.clear();
  sync_folder(folder_of(path_));
}

void replace_file(const Path& path, std::string_view content) {
  DraftFile draft(path);
  draft.write(content);
  draft.replace();
}

void write_new_file(const Path& path, std::string_view content) {
  remove_dead_drafts(folder_of(path));
  DraftFile draft(path);
  draft.write(content);
  draft.sync();
  draft.move_new();
  sync_folder(folder_of(path));
}

void remove_dead_drafts(const Path& folder) {
  std::error_code ignored;
  std::vector<Path> dead;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const Path& path = entry.path();
    if (is_draft_name(path.filename().string()) && is_dead(path)) dead.push_back(path);
  }
  for (const Path& path : dead) fs::remove_all(path, ignored);
}

}  // namespace lora
