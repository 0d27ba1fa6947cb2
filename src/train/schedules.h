// SPDX-License-Identifier: Apache-2.0
// Learning-rate schedules: a factor in [0, 1] for every optimizer step. The same factors as
// transformers' get_scheduler (5.12), tested against its numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lora {

// What a schedule may depend on. Steps count optimizer updates from 0.
struct ScheduleSpan {
  std::int64_t warmup = 0;  // the factor rises linearly from 0: step / warmup
  std::int64_t total = 1;   // updates of the whole run
  double cycles = 1;        // hard restarts of cosine_with_restarts
  double power = 1;         // exponent of polynomial
  double floor = 1e-7;      // polynomial ends at floor / peak of the peak rate
  double minimum = 0;       // the factor after warm-up falls to this instead of 0
  double peak = 1;          // the peak learning rate (only polynomial's end depends on it)
};

struct ScheduleRow {
  std::string_view name;
  std::string_view help;
  // Factor after warm-up at `step` in [warmup, ...).
  double (*factor)(const ScheduleSpan& span, std::int64_t step);
};

std::span<const ScheduleRow> schedule_rows();

// The factor of `step`, warm-up included. Throws Error (usage) for an unknown name.
double schedule_factor(std::string_view name, const ScheduleSpan& span, std::int64_t step);

}  // namespace lora
