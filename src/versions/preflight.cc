// SPDX-License-Identifier: Apache-2.0
#include "versions/preflight.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace lora {
namespace {

constexpr double kIncrementRate = 0.4;  // of the parent's peak: docs say 30-50 %
constexpr std::string_view kFirst[] = {"W02", "W10", "W12"};

void run_row(const CheckRow& row, const PreflightInput& input, std::vector<CheckResult>& results) {
  std::optional<CheckResult> result = row.check(input);
  if (!result) return;
  result->id = row.id;
  if (result->verdict == Verdict::error && !row.allow.empty()) {
    if (std::ranges::find(input.config.increment.allow, row.allow) !=
        input.config.increment.allow.end()) {
      result->verdict = Verdict::allowed;
    } else {
      result->message += join(" (or pass it with `allow: [", row.allow, "]`)");
    }
  }
  results.push_back(*result);
}

template <typename T>
void fill(std::optional<T>& value, const T& parent) {
  if (!value) value = parent;
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  constexpr std::string_view kNames[] = {"ok", "info", "warning", "error", "allowed"};
  return kNames[static_cast<int>(verdict)];
}

std::vector<CheckResult> run_preflight(const PreflightInput& input) {
  std::vector<CheckResult> results;
  for (const CheckRow& row : all_checks()) run_row(row, input, results);
  return results;
}

std::vector<CheckResult> run_first_checks(const PreflightInput& input) {
  std::vector<CheckResult> results;
  for (const CheckRow& row : all_checks()) {
    if (std::ranges::find(kFirst, row.id) != std::end(kFirst)) run_row(row, input, results);
  }
  return results;
}

std::vector<CheckRow> all_checks() {
  std::vector<CheckRow> all;
  for (const auto rows : {parent_checks(), run_checks(), content_checks(), form_checks()}) {
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

std::string preflight_text(const std::vector<CheckResult>& results) {
  std::map<Verdict, int> counts;
  for (const CheckResult& result : results) ++counts[result.verdict];
  std::vector<std::string> parts;
  for (const auto& [verdict, count] : counts) {
    parts.push_back(fmt::format("{} {}", count, verdict_name(verdict)));
  }
  std::string text = "checks: " + join_words(parts);
  for (const CheckResult& result : results) {
    if (result.verdict == Verdict::ok || result.verdict == Verdict::error) continue;
    text += fmt::format("\n  {} {:<7} {}", result.id, verdict_name(result.verdict), result.message);
  }
  return text;
}

bool passed(const std::vector<CheckResult>& results) {
  return std::ranges::none_of(
      results, [](const CheckResult& result) { return result.verdict == Verdict::error; });
}

void require_passed(const std::vector<CheckResult>& results) {
  std::string text;
  Exit code = Exit::usage;
  for (const CheckResult& result : results) {
    if (result.verdict != Verdict::error) continue;
    text += join(text.empty() ? "" : "\n", "preflight ", result.id, ": ", result.message);
    if (result.code == Exit::integrity) code = result.code;
  }
  if (!text.empty()) throw Error(text, code);
}

std::vector<CheckRecord> check_records(const std::vector<CheckResult>& results) {
  std::vector<CheckRecord> records;
  for (const CheckResult& result : results) {
    records.push_back({result.id, std::string(verdict_name(result.verdict)), result.message});
  }
  return records;
}

void inherit(Config& config, const WeightsRecord& weights, std::optional<double> peak) {
  fill(config.adapter.lora_rank, weights.rank);
  fill(config.adapter.lora_dropout, weights.dropout);
  fill(config.adapter.use_rslora, weights.rslora);
  const double kept = config.increment.rank_policy == "grow"
                          ? weights.alpha * adapter_scale(1, weights.rank, weights.rslora) /
                                adapter_scale(1, *config.adapter.lora_rank, weights.rslora)
                          : weights.alpha;
  fill(config.adapter.lora_alpha, kept);
  fill(config.adapter.use_dora, weights.dora);
  if (config.adapter.target_modules.empty()) config.adapter.target_modules = weights.targets;
  if (config.adapter.rank_pattern.empty()) config.adapter.rank_pattern = weights.rank_pattern;
  if (config.adapter.alpha_pattern.empty()) config.adapter.alpha_pattern = weights.alpha_pattern;
  if (peak) fill(config.optimisation.learning_rate, kIncrementRate * *peak);
}

double adapter_scale(double alpha, std::int64_t rank, bool rslora) {
  const auto width = static_cast<double>(rank);
  return alpha / (rslora ? std::sqrt(width) : width);
}

}  // namespace lora
