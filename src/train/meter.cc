// SPDX-License-Identifier: Apache-2.0
#include "train/meter.h"

#include <nlohmann/json.hpp>
#include <numeric>

#include "io/aten.h"

namespace lora {
namespace {

constexpr std::size_t kRecent = 10;

}  // namespace

Meter::Meter() = default;

void Meter::add(const at::Tensor& loss_sum, double count, std::int64_t units) {
  const at::Tensor sum = loss_sum.detach().to(at::kDouble);
  sum_ = sum_.defined() ? sum_ + sum : sum;
  count_ += count;
  units_ += units;
}

Reading Meter::read() {
  Reading reading;
  if (sum_.defined() && count_ > 0) reading.loss = sum_.item<double>() / count_;
  const double spent = seconds() - seconds_read_;
  if (spent > 0) reading.units_per_second = static_cast<double>(units_ - units_read_) / spent;
  if (recent_.empty()) first_loss_ = reading.loss;
  recent_.push_back(reading.loss);
  if (recent_.size() > kRecent) recent_.erase(recent_.begin());
  sum_ = at::Tensor();
  count_ = 0;
  seconds_read_ = seconds();
  units_read_ = units_;
  return reading;
}

double Meter::last_loss() const {
  if (recent_.empty()) return 0;
  return std::accumulate(recent_.begin(), recent_.end(), 0.0) / static_cast<double>(recent_.size());
}

double Meter::seconds() const {
  if (!running_) return seconds_;
  return seconds_ + std::chrono::duration<double>(Clock::now() - since_).count();
}

void Meter::pause() {
  seconds_ = seconds();
  running_ = false;
}

void Meter::resume() {
  seconds_ = seconds();
  running_ = true;
  since_ = Clock::now();
}

nlohmann::json Meter::state() const {
  return {{"sum", sum_.defined() ? sum_.item<double>() : 0.0},
          {"count", count_},
          {"units", units_},
          {"units_read", units_read_},
          {"seconds", seconds()},
          {"seconds_read", seconds_read_},
          {"first_loss", first_loss_},
          {"recent", recent_}};
}

void Meter::restore(const nlohmann::json& state) {
  count_ = state.at("count").get<double>();
  sum_ = at::Tensor();
  if (count_ > 0) sum_ = at::scalar_tensor(state.at("sum").get<double>(), at::kDouble);
  units_ = state.at("units").get<std::int64_t>();
  units_read_ = state.at("units_read").get<std::int64_t>();
  seconds_ = state.at("seconds").get<double>();
  seconds_read_ = state.at("seconds_read").get<double>();
  first_loss_ = state.at("first_loss").get<double>();
  recent_ = state.at("recent").get<std::vector<double>>();
}

}  // namespace lora
