// SPDX-License-Identifier: Apache-2.0
// What appears under its name only when it is whole. A draft has a name that nobody can foresee,
// ".lora-" and 16 hexadecimal digits and ".tmp", beside the place where it will be; it is made anew
// (never an existing file, never through a link) and locked while it is written, so that what a
// killed program left can be told from the work of another one.
#pragma once

#include <string_view>

#include "base/files.h"

namespace lora {

bool is_draft_name(std::string_view name);

// A new file. Removed with the object unless it was moved.
class DraftFile {
 public:
  // In the folder of `path`, which is made where it is absent. Throws Error.
  explicit DraftFile(const Path& path);
  ~DraftFile();
  DraftFile(const DraftFile&) = delete;
  DraftFile& operator=(const DraftFile&) = delete;

  void write(std::string_view content);
  void reserve(std::size_t bytes);  // on the disk, from the beginning of the file
  void sync();
  void replace();   // `path` is this file from now on, whatever was there
  void move_new();  // the same; throws Error (usage) where `path` exists

 private:
  Path path_, draft_;
  int file_ = -1;
};

// A new folder. Removed with all that is in it unless it was moved.
class DraftFolder {
 public:
  // Beside `path`; what a killed program left there goes. Throws Error.
  explicit DraftFolder(const Path& path);
  ~DraftFolder();
  DraftFolder(const DraftFolder&) = delete;
  DraftFolder& operator=(const DraftFolder&) = delete;

  const Path& path() const { return draft_; }
  // Durable on return. Throws Error (usage) where `path` exists.
  void move_new();

 private:
  Path path_, draft_;
  int folder_ = -1;
};

// write_file_atomic (files.h) without the sync, for what may be lost in a power cut.
void replace_file(const Path& path, std::string_view content);

// write_file_atomic; throws Error (usage) where `path` exists. What a killed program left beside it
// goes.
void write_new_file(const Path& path, std::string_view content);

// Removes the drafts in `folder` that no program works on any more; never an error.
void remove_dead_drafts(const Path& folder);

}  // namespace lora
