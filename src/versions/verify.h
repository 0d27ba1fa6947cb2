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
// version.json, SHA256SUMS, logs/, checkpoints/ and unfinished *.tmp files.
std::vector<std::string> covered_files(const Path& folder);

// Content of SHA256SUMS as sha256sum writes it.
std::string sums_text(const Path& folder);

struct VerifyReport {
  std::string name;
  bool committed = false;
  std::int64_t files = 0;             // hashed
  std::vector<std::string> problems;  // empty = as recorded
  std::vector<std::string> notes;     // e.g. the parent's folder is gone
};

// Hashes everything and follows the parent link. Throws only where the folder cannot be read.
VerifyReport verify_version(const Path& folder);

}  // namespace lora
