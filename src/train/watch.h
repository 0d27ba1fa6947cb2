// SPDX-License-Identifier: Apache-2.0
// What a run decides by its validation losses: which adapter is the best so far, and whether to go
// on. Numbers in, words out; no libtorch here.
//
// Losses are named, and the one called kWatched decides; the others are only measured. Steps count
// optimizer updates; step 0 is before the first.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/groups.h"

namespace lora {

struct NamedLoss {
  std::string name;
  double loss = 0;  // a mean
};

inline constexpr std::string_view kWatched = "validation";  // the loss on the new data

// keep: the best adapter so far is the present one, remember it; stop: it got no better for too
// long.
enum class Advice { go_on, keep, stop };

class Watch {
 public:
  // `budget`: steps of the run.
  Watch(const WatchConfig& settings, std::int64_t budget) : settings_(settings), budget_(budget) {}

  // Is a validation due after `step`, which ended an epoch or not?
  bool due(std::int64_t step, bool epoch_ended) const;
  // The losses after `step`. Step 0 is only remembered as where the run began.
  Advice tell(std::int64_t step, const std::vector<NamedLoss>& losses);

  bool stopped() const;  // out of patience
  bool over(std::int64_t step) const { return step >= budget_ || stopped(); }
  // The losses at `step` are still to be told before the run may end with it.
  bool owes(std::int64_t step) const { return told_at_ != step && !stopped(); }

  std::int64_t budget() const { return budget_; }
  std::optional<double> first() const { return first_; }  // at step 0
  std::optional<double> last() const { return last_; }
  std::optional<double> best() const { return best_; }
  std::int64_t best_step() const { return best_step_; }  // 0: none yet
  std::int64_t worse_in_a_row() const { return worse_; }

  // Of checkpoints: {"validation_before": ..., "best_step": ...}.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  WatchConfig settings_;
  std::int64_t budget_;
  std::optional<double> first_, last_, best_;
  std::int64_t told_at_ = -1, best_step_ = 0, worse_ = 0;
};

}  // namespace lora
