// SPDX-License-Identifier: Apache-2.0
#include "versions/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/error.h"

namespace lora {
namespace {

LockState try_lock(int file, int kind) {
  int result = 0;
  do {
    result = ::flock(file, kind | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return LockState::free;
  return errno == EWOULDBLOCK ? LockState::busy : LockState::unsupported;
}

}  // namespace

FileLock::FileLock(const Path& path) : path_(path) {
  std::error_code ignored;  // a real problem shows at open
  std::filesystem::create_directories(path.parent_path(), ignored);
  // Writable, because NFS locks no file that is only read.
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file_ >= 0) return;
  fail(path.string(), ": cannot be opened (", std::strerror(errno),
       "); check permissions and free space");
}

FileLock::~FileLock() { ::close(file_); }

LockState FileLock::take(std::chrono::milliseconds patience) {
  constexpr std::chrono::milliseconds kPause{20};
  const auto end = std::chrono::steady_clock::now() + patience;
  LockState state = try_lock(file_, LOCK_EX);
  while (state == LockState::busy && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kPause);
    state = try_lock(file_, LOCK_EX);
  }
  return state;
}

bool FileLock::in_place() const {
  struct stat opened{}, there{};
  return ::fstat(file_, &opened) == 0 && ::lstat(path_.c_str(), &there) == 0 &&
         opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

LockState look_at_lock(const Path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return errno == ENOENT ? LockState::absent : LockState::unsupported;
  const LockState state = try_lock(file, LOCK_SH);
  ::close(file);
  return state;
}

}  // namespace lora
