// SPDX-License-Identifier: Apache-2.0
// Progress of a long job on stderr: a bar that is drawn over where stderr is a terminal, a plain
// line now and then otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace lora {

// "[=========>          ] 120/250  48 %  12 s left  loss 1.234  800 tokens/s", `width` columns of
// bar. `seconds_left` below 0: not known yet.
std::string progress_line(std::int64_t done, std::int64_t total, double seconds_left,
                          std::string_view note, int width = 24);

class Progress {
 public:
  // `done`: where a continued job starts; speed is measured from there.
  Progress(std::string_view title, std::int64_t total, std::int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Draws at most ten times a second on a terminal; elsewhere a line every 5 % or 30 seconds.
  void update(std::int64_t done, std::string_view note);

 private:
  using Clock = std::chrono::steady_clock;
  double seconds_left(std::int64_t done) const;

  std::string title_;
  std::int64_t total_, first_;
  Clock::time_point start_, last_;
  std::int64_t last_done_;
  bool drawn_ = false;
};

}  // namespace lora
