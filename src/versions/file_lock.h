// SPDX-License-Identifier: Apache-2.0
// Locks between processes (flock): they end with the process that holds them, however it ends.
#pragma once

#include "base/files.h"

namespace lora {

// How a lock was found. Some file systems have none (found by flock's error).
enum class LockState { free, busy, unsupported };

class FileLock {
 public:
  // Opens the lock's file and creates it where it is absent. Programs that are started later do not
  // inherit it. Throws Error.
  explicit FileLock(const Path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Waits until no other process holds it, and takes it; false where the file system has no locks.
  bool take();
  // Takes it where it is free. `busy` only after half a second: look_at_lock() of others holds it
  // for a moment.
  LockState try_take();

 private:
  Path path_;
  int file_ = -1;
};

// How it is now; a lock without a file is free, and so is one that cannot be opened `unsupported`.
LockState look_at_lock(const Path& path);

}  // namespace lora
