// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/draft.h"
#include "base/error.h"

namespace lora {
namespace {

[[noreturn]] void fail_errno(const Path& path, const char* action) {
  fail(path.string(), ": cannot ", action, ": ", std::strerror(errno));
}

// Closes the descriptor on scope exit.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Opens a regular file; a pipe without a writer must not hold the program up.
int open_regular(const Path& path, struct stat& info) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) fail_errno(path, "read");
  if (::fstat(file, &info) != 0) fail_errno(path, "read");
  if (S_ISREG(info.st_mode)) return file;
  ::close(file);
  fail(path.string(), ": is a ", S_ISDIR(info.st_mode) ? "folder" : "pipe or device",
       ", expected a file");
}

constexpr off_t kMostRead = off_t{1} << 30;  // bytes; weights are mapped instead

}  // namespace

std::string read_file(const Path& path) {
  struct stat info {};
  const Descriptor file{open_regular(path, info)};
  if (info.st_size > kMostRead) {
    fail(path.string(), ": is too large (found ", info.st_size >> 20, " MiB, expected at most ",
         kMostRead >> 20, "); divide it into several files");
  }
  std::string content(static_cast<std::size_t>(info.st_size) + 1, '\0');
  std::size_t size = 0;
  while (true) {  // to the end: files of /proc say that they hold nothing
    if (size == content.size()) content.resize(2 * size + 4096);
    const ssize_t n = ::read(file.fd, content.data() + size, content.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(path, "read");
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  content.resize(size);
  return content;
}

void write_file_atomic(const Path& path, std::string_view content) {
  DraftFile draft(path);
  draft.write(content);
  draft.sync();
  draft.replace();
  sync_folder(path.has_parent_path() ? path.parent_path() : Path("."));
}

void sync_folder(const Path& folder) {
  Descriptor dir{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (dir.fd < 0) fail_errno(folder, "open");
  if (::fsync(dir.fd) != 0 && errno != EINVAL) fail_errno(folder, "sync");
}

MappedFile::MappedFile(const Path& path) : path_(path) {
  struct stat info {};
  const Descriptor file{open_regular(path, info)};
  size_ = static_cast<std::size_t>(info.st_size);
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED) fail_errno(path, "map");
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr);
}
Sha256::~Sha256() = default;

void Sha256::update(const void* data, std::size_t size) {
  EVP_DigestUpdate(state_->context, data, size);
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_DigestFinal_ex(state_->context, digest, &length);
  const char* digits = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < length; ++i) {
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 15];
  }
  return text;
}

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_file(const Path& path) {
  const MappedFile file(path);
  Sha256 hash;
  hash.update(file.bytes().data(), file.bytes().size());
  return hash.hex();
}

}  // namespace lora
