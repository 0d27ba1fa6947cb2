// SPDX-License-Identifier: Apache-2.0
// Locks between processes (flock): they end with the process that holds them, however it ends.
#pragma once

#include <chrono>

#include "base/files.h"

namespace lora {

// How a lock was found. Some file systems have none (found by flock's error); absent: no file.
enum class LockState { free, busy, unsupported, absent };

class FileLock {
 public:
  // Opens the lock's file and creates it where it is absent; never through a link. Programs that
  // are started later do not inherit it. Throws Error.
  explicit FileLock(const Path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Takes it, and waits for it as long as `patience`. `busy` at least after half a second:
  // look_at_lock() of others holds it for a moment.
  LockState take(std::chrono::milliseconds patience = std::chrono::milliseconds(500));

  // Whether the file at the path is still the one that was opened: nobody moved or removed it.
  bool in_place() const;

 private:
  Path path_;
  int file_ = -1;
};

// How it is now; one that cannot be opened is `unsupported`.
LockState look_at_lock(const Path& path);

}  // namespace lora
