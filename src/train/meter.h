// SPDX-License-Identifier: Apache-2.0
// What a run measures between two log lines, without asking the device for a number in between.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace lora {

struct Reading {
  double loss = 0;  // mean over the targets since the last reading
  double units_per_second = 0;
};

class Meter {
 public:
  Meter();
  // One optimizer step: sum of losses (scalar, any device), their count, units handled.
  void add(const at::Tensor& loss_sum, double count, std::int64_t units);
  // Mean since the last reading; this is where the host waits for the device.
  Reading read();

  double seconds() const;  // spent in the loop, earlier parts of a resumed run included
  std::int64_t units() const { return units_; }
  // Mean of the first reading, and of the last ten.
  double first_loss() const { return first_loss_; }
  double last_loss() const;
  // Time outside training steps (validation, samples, saving) does not count as speed.
  void pause();
  void resume();

  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  using Clock = std::chrono::steady_clock;

  at::Tensor sum_;  // float64, on the device of the losses
  double count_ = 0;
  std::int64_t units_ = 0, units_read_ = 0;
  double seconds_ = 0, seconds_read_ = 0;
  bool running_ = false;
  Clock::time_point since_;
  double first_loss_ = 0;
  std::vector<double> recent_;
};

}  // namespace lora
