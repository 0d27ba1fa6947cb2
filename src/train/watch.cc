// SPDX-License-Identifier: Apache-2.0
#include "train/watch.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lora {
namespace {

nlohmann::json optional_json(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

std::optional<double> optional_number(const nlohmann::json& value) {
  if (value.is_null()) return {};
  return value.get<double>();
}

}  // namespace

bool Watch::due(std::int64_t step, bool epoch_ended) const {
  return settings_.eval_steps > 0 ? step % settings_.eval_steps == 0 : epoch_ended;
}

bool Watch::stopped() const {
  return settings_.early_stopping && worse_ > 0 && worse_ >= settings_.early_stopping_patience;
}

Advice Watch::tell(std::int64_t step, const std::vector<NamedLoss>& losses) {
  const auto watched = std::ranges::find(losses, kWatched, &NamedLoss::name);
  if (watched == losses.end()) return Advice::go_on;
  told_at_ = step;
  last_ = watched->loss;
  if (step == 0) {
    first_ = last_;
    return Advice::go_on;
  }
  if (best_ && *last_ >= *best_ - settings_.early_stopping_threshold) {
    ++worse_;
    return stopped() ? Advice::stop : Advice::go_on;
  }
  best_ = last_;
  best_step_ = step;
  worse_ = 0;
  return settings_.keep_best.value_or(settings_.early_stopping) ? Advice::keep : Advice::go_on;
}

nlohmann::json Watch::state() const {
  return {{"validation_before", optional_json(first_)},
          {"validation_last", optional_json(last_)},
          {"validated_at", told_at_},
          {"best_loss", optional_json(best_)},
          {"best_step", best_step_},
          {"bad_validations", worse_}};
}

void Watch::restore(const nlohmann::json& state) {
  first_ = optional_number(state.at("validation_before"));
  last_ = optional_number(state.at("validation_last"));
  told_at_ = state.at("validated_at").get<std::int64_t>();
  best_ = optional_number(state.at("best_loss"));
  best_step_ = state.at("best_step").get<std::int64_t>();
  worse_ = state.at("bad_validations").get<std::int64_t>();
}

}  // namespace lora
