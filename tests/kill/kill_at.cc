// SPDX-License-Identifier: Apache-2.0
// Loaded in front of the program (LD_PRELOAD): ends it, as a power cut would, just before the n-th
// call that changes a file system. LORA_KILL_AT=n; 0: never. LORA_KILL_COUNT=FILE: how many there
// were is written there when the program ends by itself. Standard output and error do not count.
// LORA_NO_CHMOD: a file system on which chmod is not permitted.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace {

std::atomic<long> calls{0};

long limit() {
  static const long value = [] {
    const char* text = std::getenv("LORA_KILL_AT");
    return text == nullptr ? 0 : std::atol(text);
  }();
  return value;
}

void count() {
  if (++calls == limit()) kill(getpid(), SIGKILL);
}

// The function of that name in the libraries behind this one.
template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool makes_file(int flags) { return (flags & (O_CREAT | O_TRUNC)) != 0; }

mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

struct AtEnd {
  ~AtEnd() {
    const char* path = std::getenv("LORA_KILL_COUNT");
    if (path == nullptr) return;
    std::FILE* file = std::fopen(path, "w");
    if (file == nullptr) return;
    std::fprintf(file, "%ld\n", calls.load());
    std::fclose(file);
  }
} at_end;

}  // namespace

#define LORA_OPEN(name)                                 \
  int name(const char* path, int flags, ...) {          \
    va_list arguments;                                  \
    va_start(arguments, flags);                         \
    const mode_t mode = mode_of(flags, arguments);      \
    va_end(arguments);                                  \
    if (makes_file(flags)) count();                     \
    static auto* real = next<int(const char*, int, ...)>(#name); \
    return real(path, flags, mode);                     \
  }

extern "C" {

LORA_OPEN(open)
LORA_OPEN(open64)

ssize_t write(int file, const void* data, std::size_t size) {
  if (file > STDERR_FILENO) count();
  static auto* real = next<ssize_t(int, const void*, std::size_t)>("write");
  return real(file, data, size);
}

int fsync(int file) {
  count();
  static auto* real = next<int(int)>("fsync");
  return real(file);
}

int mkdir(const char* path, mode_t mode) {
  count();
  static auto* real = next<int(const char*, mode_t)>("mkdir");
  return real(path, mode);
}

int rename(const char* from, const char* to) {
  count();
  static auto* real = next<int(const char*, const char*)>("rename");
  return real(from, to);
}

int renameat2(int a, const char* from, int b, const char* to, unsigned int flags) {
  count();
  static auto* real = next<int(int, const char*, int, const char*, unsigned int)>("renameat2");
  return real(a, from, b, to, flags);
}

int unlink(const char* path) {
  count();
  static auto* real = next<int(const char*)>("unlink");
  return real(path);
}

int unlinkat(int folder, const char* path, int flags) {
  count();
  static auto* real = next<int(int, const char*, int)>("unlinkat");
  return real(folder, path, flags);
}

int remove(const char* path) {
  count();
  static auto* real = next<int(const char*)>("remove");
  return real(path);
}

int fchmodat(int folder, const char* path, mode_t mode, int flags) {
  count();
  if (std::getenv("LORA_NO_CHMOD") != nullptr) {
    errno = EPERM;
    return -1;
  }
  static auto* real = next<int(int, const char*, mode_t, int)>("fchmodat");
  return real(folder, path, mode, flags);
}

}  // extern "C"
