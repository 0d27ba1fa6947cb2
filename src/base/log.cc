// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <mutex>
#include <string>

#include "base/shown.h"

namespace lora {
namespace {

struct Sink {
  std::mutex mutex;
  std::ofstream file;
};

Sink& sink() {
  static Sink instance;
  return instance;
}

void write_line(std::string_view line) {
  const std::string text = shown_lines(line);
  const std::lock_guard lock(sink().mutex);
  // A progress bar may stand on this line: clear it first.
  const char* clear = stderr_is_terminal() ? "\r\033[K" : "";
  std::fprintf(stderr, "%s%.*s\n", clear, static_cast<int>(text.size()), text.data());
  if (sink().file.is_open()) sink().file << utc_now() << ' ' << text << std::endl;
}

}  // namespace

void info(std::string_view text) { write_line(text); }
void warn(std::string_view text) { write_line("warning: " + std::string(text)); }

void log_to_file(const Path& path) {
  const std::lock_guard lock(sink().mutex);
  sink().file.close();
  if (!path.empty()) sink().file.open(path, std::ios::app);
}

bool stderr_is_terminal() {
  static const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return terminal;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace lora
