// SPDX-License-Identifier: Apache-2.0
#include "train/schedules.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/table.h"

namespace lora {
namespace {

// How far the part after warm-up has come: 0 at its first step, 1 at `total`.
double progress(const ScheduleSpan& span, std::int64_t step) {
  return static_cast<double>(step - span.warmup) /
         static_cast<double>(std::max<std::int64_t>(1, span.total - span.warmup));
}

double constant(const ScheduleSpan&, std::int64_t) { return 1; }

double linear(const ScheduleSpan& span, std::int64_t step) {
  return std::max(0.0, 1 - progress(span, step));
}

double cosine(const ScheduleSpan& span, std::int64_t step) {
  return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * progress(span, step))));
}

double cosine_with_restarts(const ScheduleSpan& span, std::int64_t step) {
  const double at = progress(span, step);
  if (at >= 1) return 0;
  const double in_cycle = std::fmod(span.cycles * at, 1.0);
  return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * in_cycle)));
}

double polynomial(const ScheduleSpan& span, std::int64_t step) {
  const double end = std::min(1.0, span.floor / span.peak);
  if (step > span.total) return end;
  return (1 - end) * std::pow(1 - progress(span, step), span.power) + end;
}

constexpr ScheduleRow kSchedules[] = {
    {"constant", "the peak rate all the time (after warm-up)", constant},
    {"linear", "falls linearly to 0", linear},
    {"cosine", "falls along half a cosine to 0", cosine},
    {"cosine_with_restarts", "cosine that jumps back to the peak", cosine_with_restarts},
    {"polynomial", "falls along a power (1: linear) to 1e-7", polynomial},
};

}  // namespace

std::span<const ScheduleRow> schedule_rows() { return kSchedules; }

double schedule_factor(std::string_view name, const ScheduleSpan& span, std::int64_t step) {
  const ScheduleRow& row = row_of(schedule_rows(), "lr_scheduler", name);
  if (step < span.warmup) return static_cast<double>(step) / static_cast<double>(span.warmup);
  return span.minimum + (1 - span.minimum) * row.factor(span, step);
}

}  // namespace lora
