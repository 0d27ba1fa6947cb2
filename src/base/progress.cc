// SPDX-License-Identifier: Apache-2.0
#include "base/progress.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace lora {

std::string progress_line(std::int64_t done, std::int64_t total, double seconds_left,
                          std::string_view note, int width) {
  const double share =
      total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0;
  const auto full = static_cast<std::size_t>(share * width);
  std::string bar(full, '=');
  if (full < static_cast<std::size_t>(width)) bar += '>';
  bar.resize(static_cast<std::size_t>(width), ' ');
  std::string line =
      join("[", bar, "] ", done, "/", total, "  ", static_cast<int>(share * 100), " %");
  if (seconds_left >= 0) line += join("  ", human_seconds(seconds_left), " left");
  if (!note.empty()) line += join("  ", note);
  return line;
}

Progress::Progress(std::string_view title, std::int64_t total, std::int64_t done)
    : title_(title), total_(total), first_(done), start_(Clock::now()), last_done_(done) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

double Progress::seconds_left(std::int64_t done) const {
  if (done <= first_) return -1;
  const double spent = std::chrono::duration<double>(Clock::now() - start_).count();
  return spent / static_cast<double>(done - first_) * static_cast<double>(total_ - done);
}

void Progress::update(std::int64_t done, std::string_view note) {
  const double quiet = std::chrono::duration<double>(Clock::now() - last_).count();
  const bool terminal = stderr_is_terminal();
  const bool due =
      terminal ? quiet > 0.1 : quiet > 30 || (done - last_done_) * 20 >= total_ || done == total_;
  if (!due && done != total_) return;
  last_ = Clock::now();
  last_done_ = done;
  const std::string line = progress_line(done, total_, seconds_left(done), note);
  std::fprintf(stderr, terminal ? "\r\033[K%s %s" : "%s %s\n", title_.c_str(), line.c_str());
  std::fflush(stderr);
  drawn_ = terminal;
}

}  // namespace lora
