// SPDX-License-Identifier: Apache-2.0
// Checks a version against what was recorded of it. Content is hashed again every time: size and
// time of a file are no evidence.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "versions/version.h"

namespace lora {

// The files of a version that SHA256SUMS lists, relative to the folder, sorted: all but
// version.json, SHA256SUMS, logs/, checkpoints/, unfinished *.tmp files and links.
std::vector<std::string> covered_files(const Path& folder);

// Content of SHA256SUMS as sha256sum writes it.
std::string sums_text(const Path& folder);

struct VerifyReport {
  std::string name;
  bool committed = false;             // there is a manifest, or was one
  bool gone = false;                  // the whole folder
  std::int64_t files = 0;             // hashed
  std::vector<std::string> problems;  // empty = as recorded
  std::vector<std::string> notes;     // e.g. the parent's folder is gone
};

// True where SHA256SUMS lists the file.
bool is_recorded(const Path& folder, const std::string& name);

// Throws Error (integrity) where an adapter file of the version or its configuration is not what
// was recorded of it. Everything else of a version is left to verify_version().
void require_recorded(const Path& folder, const Version& version);

// Hashes everything and follows the parent link. Throws only where the folder cannot be read.
VerifyReport verify_version(const Path& folder);

// Versions that the journal of `root` knows and whose folders are gone: a note each, a problem
// where a ref names it.
std::vector<VerifyReport> verify_gone(const Path& root);

}  // namespace lora
