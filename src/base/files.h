// SPDX-License-Identifier: Apache-2.0
// Files: read whole, write atomically, map, hash. All throw Error naming the path.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lora {

using Path = std::filesystem::path;

std::string read_file(const Path& path);

// Writes a temporary file beside `path`, syncs it and renames it: readers see the old content or
// the new one, never a part. Parent folders are created.
void write_file_atomic(const Path& path, std::string_view content);

// Makes a rename or a new file in `folder` durable.
void sync_folder(const Path& folder);

// A file mapped read-only for as long as the object lives.
class MappedFile {
 public:
  explicit MappedFile(const Path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const Path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  Path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Lower-case hexadecimal SHA-256.
std::string sha256(std::string_view bytes);
std::string sha256_file(const Path& path);

// Incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(const void* data, std::size_t size);
  void update(std::string_view text) { update(text.data(), text.size()); }
  std::string hex();  // ends the computation

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lora
