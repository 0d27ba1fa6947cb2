// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "base/error.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace lora {
namespace {

void on_lost_page(int) {
  constexpr std::string_view kText =
      "\nlora: a file became shorter while it was read (a model or an adapter); put the whole file "
      "back and start again, a training with --resume\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(static_cast<int>(Exit::failed));
}

}  // namespace

void tell_of_lost_pages() { std::signal(SIGBUS, on_lost_page); }

void keep_freed_memory() {
#ifdef __GLIBC__
  constexpr int kLargest = 32 << 20;  // the most glibc accepts
  mallopt(M_MMAP_THRESHOLD, kLargest);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, kLargest);
#endif
}

double peak_memory_gib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("VmHWM:")) continue;
    std::istringstream words(line.substr(6));
    double kib = 0;
    words >> kib;
    return kib / (1 << 20);
  }
  return 0;
}

}  // namespace lora
