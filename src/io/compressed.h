// SPDX-License-Identifier: Apache-2.0
// Files compressed with gzip (RFC 1952, several members too) or Zstandard (RFC 8878).
#pragma once

#include <cstdint>
#include <string>

#include "base/files.h"

namespace lora {

inline constexpr std::uint64_t kMostUnpacked = std::uint64_t{1} << 30;  // bytes, as read_file

// The ending without that of a compression, in lower case: ".jsonl" of "a.jsonl.gz" and "A.JSONL".
std::string ending_inside(const Path& file);

// The content, unpacked where the name ends with .gz or .zst. Throws Error naming the file where it
// is not whole, not of that kind, or unpacks to more than `most` bytes.
std::string read_unpacked(const Path& file, std::uint64_t most = kMostUnpacked);

}  // namespace lora
