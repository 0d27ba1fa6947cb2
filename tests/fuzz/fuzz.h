// SPDX-License-Identifier: Apache-2.0
// What the harnesses share. A harness hands the bytes to one reader: an Error is an answer like
// another, anything else (a crash, another exception, a second without end) is a finding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace lora::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

template <typename Action>
void attempt(Action&& action) {
  try {
    action();
  } catch (const Error&) {
  }
}

// A folder that lives as long as the program.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fuzz.XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // The file NAME with this content.
  Path file(const char* name, std::string_view content) const {
    const Path path = path_ / name;
    std::FILE* out = std::fopen(path.c_str(), "wb");
    std::fwrite(content.data(), 1, content.size(), out);
    std::fclose(out);
    return path;
  }
  const Path& path() const { return path_; }

 private:
  Path path_;
};

inline const Folder& folder() {
  static const Folder made;
  return made;
}

}  // namespace lora::fuzz
