// SPDX-License-Identifier: Apache-2.0
// Preflight of the recipe: learning rate, length, protection of the parent.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/regex.h"
#include "base/text.h"
#include "versions/check_results.h"

namespace lora {
namespace {

Result folder_is_free(const PreflightInput& in) {
  if (!in.folder || output_holds_parent(in)) return std::nullopt;
  if (in.folder->refusal.empty()) return ok("the run can have its folder");
  CheckResult refused = error(in.folder->refusal);
  refused.code = in.folder->code;
  return refused;
}

Result trains_something(const PreflightInput& in) {
  if (!in.trainable) return std::nullopt;
  if (*in.trainable > 0) return ok(fmt::format("{} numbers are trained", *in.trainable));
  return error(
      "target_modules: nothing would be trained (found 0 numbers, expected some); name "
      "modules that the model has");
}

// A key of a pattern that means no trained module is a slip.
Result patterns_mean_modules(const PreflightInput& in) {
  if (!in.places || in.places->empty()) return std::nullopt;
  const AdapterConfig& adapter = in.config.adapter;
  std::vector<std::pair<std::string, std::string>> written;  // key of the configuration, pattern
  for (const auto& [name, rank] : adapter.rank_pattern) written.emplace_back("rank_pattern", name);
  for (const auto& [name, alpha] : adapter.alpha_pattern) {
    written.emplace_back("alpha_pattern", name);
  }
  std::set<std::string> names;
  for (const std::string& place : *in.places) names.insert(place.substr(place.rfind('.') + 1));
  const std::vector<std::string> known(names.begin(), names.end());
  for (const auto& [key, pattern] : written) {
    // As PEFT matches them: a name, or the end of a path.
    const Regex regex("(.*\\.)?(" + pattern + ")", key, "mend it");
    const bool meant = std::ranges::any_of(
        *in.places, [&](const std::string& place) { return regex.matches(place); });
    if (meant) continue;
    return error(fmt::format("{}: '{}' means no module that is trained (trained: {}){}", key,
                             pattern, join_words(known), did_you_mean(pattern, known)));
  }
  return ok("every pattern means a trained module");
}

// The length of the run, `factor` times what it is, as the user gives it.
std::string length_setting(const PreflightInput& in, double factor) {
  if (!in.config.length.max_steps)
    return fmt::format("epochs: {:.3g}", in.config.length.epochs.value_or(1) * factor);
  const double steps = static_cast<double>(*in.config.length.max_steps) * factor;
  return fmt::format("max_steps: {:.0f}", factor < 1 ? std::floor(steps) : std::ceil(steps));
}

// Increments use 30-50 % of the parent's peak; the bounds are those of docs/incremental.
Result rate_lowered(const PreflightInput& in) {
  const Version* parent = manifest_of(in);
  if (parent == nullptr || parent->recipe.peak_learning_rate <= 0) return std::nullopt;
  const double peak = parent->recipe.peak_learning_rate;
  if (!in.config.optimisation.learning_rate)
    return ok(fmt::format("learning rate {:.3g}, 40 %", 0.4 * peak));
  if (parent->recipe.optimizer != in.config.optimisation.optimizer) {
    return warning(
        fmt::format("optimizer: {} after {}, so the learning rates cannot be compared; "
                    "watch the first steps",
                    in.config.optimisation.optimizer, parent->recipe.optimizer));
  }
  const double q = *in.config.optimisation.learning_rate / peak;
  if (q >= 0.05 && q <= 0.5) return ok(fmt::format("learning rate {:.0f} %", 100 * q));
  if (q < 0.05) {
    return warning(fmt::format(
        "learning_rate: {:.3g} is {:.1f} % of {}'s {:.3g}, and may not "
        "learn; set learning_rate: {:.3g}",
        *in.config.optimisation.learning_rate, 100 * q, parent->name, peak, 0.4 * peak));
  }
  std::string message = fmt::format(
      "learning_rate: {} {}'s (found {:.3g}, expected 30 to 50 % of {:.3g}); set "
      "learning_rate: {:.3g}, or remove it",
      q > 1 ? "higher than" : "hardly lower than", parent->name,
      *in.config.optimisation.learning_rate, peak, 0.4 * peak);
  return q > 1 ? error(std::move(message)) : warning(std::move(message));
}

Result rate_is_fixed(const PreflightInput& in) {
  if (!in.parent) return std::nullopt;
  const std::string name = lower_ascii(in.config.optimisation.optimizer);
  for (const std::string_view adaptive : {"prodigy", "dadapt", "dowg"}) {
    if (name.find(adaptive) == std::string::npos) continue;
    return warning(
        fmt::format("optimizer: {} finds its own learning rate, so \"lower than the "
                    "parent's\" has no meaning; use adamw",
                    in.config.optimisation.optimizer));
  }
  return ok("the learning rate is the configured one");
}

Result warms_up(const PreflightInput& in) {
  if (!in.parent || !in.total_steps) return std::nullopt;
  const std::int64_t steps = warmup_steps_of(in.config, *in.total_steps);
  const bool enough = steps >= 10 || steps * 2 >= *in.total_steps;
  if (enough && steps * 100 >= *in.total_steps) return ok(fmt::format("{} warm-up steps", steps));
  return warning(
      fmt::format("warmup_steps: a fresh optimizer on a trained adapter forgets at its "
                  "first steps (found {} of {} steps, expected at least 10 and 1 %); "
                  "set warmup_steps: 10",
                  steps, *in.total_steps));
}

// With replay more passes are harmless: the old samples are seen along with the new ones.
double allowed_passes(const PreflightInput& in, const Version& parent) {
  return parent.recipe.epochs * (in.config.increment.replay > 0 ? 1 : 0.5);
}

Result passes_are_few(const PreflightInput& in) {
  if (!in.passes) return std::nullopt;
  const double passes = *in.passes;
  const Version* parent = manifest_of(in);
  if (parent != nullptr && parent->recipe.epochs > 0 && passes > parent->recipe.epochs) {
    return error(
        fmt::format("epochs: each new sample would be seen {:.4g} times ({}: {:.4g}); set {}",
                    passes, parent->name, parent->recipe.epochs,
                    length_setting(in, allowed_passes(in, *parent) / passes)));
  }
  const std::int64_t rank = in.config.adapter.lora_rank.value_or(parent ? parent->weights.rank : 8);
  if (in.parent && rank >= 64 && passes > 4) {
    return warning(fmt::format("epochs: rank {} and {:.4g} passes forget most; lower one of them",
                               rank, passes));
  }
  if (is_image_task(in.config) && passes > 100) {
    return warning(
        fmt::format("epochs: each picture would be seen {:.4g} times, which learns it "
                    "by heart; set {}",
                    passes, length_setting(in, 100 / passes)));
  }
  const bool known = parent != nullptr && parent->recipe.epochs > 0;
  if (known && passes > allowed_passes(in, *parent)) {
    return warning(
        fmt::format("epochs: {:.4g} passes, {} had {:.4g}; increments without replay "
                    "need 30 to 50 % of them; set {}",
                    passes, parent->name, parent->recipe.epochs,
                    length_setting(in, allowed_passes(in, *parent) / passes)));
  }
  return ok(fmt::format("{:.4g} passes over the data", passes));
}

Result steps_are_enough(const PreflightInput& in) {
  if (!in.total_steps) return std::nullopt;
  if (*in.total_steps >= 20) return ok(fmt::format("{} steps", *in.total_steps));
  return warning(
      fmt::format("epochs: only {} optimizer steps, expected at least 20; set {}, or lower "
                  "batch_size",
                  *in.total_steps, length_setting(in, 20 / static_cast<double>(*in.total_steps))));
}

Result parent_is_protected(const PreflightInput& in) {
  if (!in.parent) return std::nullopt;
  if (in.config.increment.replay > 0)
    return ok(fmt::format("replay {}", in.config.increment.replay));
  if (in.config.increment.retain != "none" && !in.config.increment.retain.empty())
    return ok(in.config.increment.retain);
  return warning(
      fmt::format("replay: nothing protects what {} learned; set replay: 0.5", in.parent->name));
}

Result replay_data_is_there(const PreflightInput& in) {
  if (!in.parent || in.config.increment.replay == 0) return std::nullopt;
  const auto& problems = in.parent->replay_problems;
  if (problems.empty()) return ok("the parent's data are as recorded");
  return warning(
      fmt::format("replay: the parent's training data changed since ({}); old samples "
                  "are drawn from what is there",
                  join_words(problems, "; ")));
}

constexpr CheckRow kChecks[] = {
    {"W12", "", "the run can have its folder", folder_is_free},
    {"W09", "", "something is trained", trains_something},
    {"W11", "", "rank_pattern and alpha_pattern mean trained modules", patterns_mean_modules},
    {"L01", "learning-rate", "the learning rate is lower than the parent's", rate_lowered},
    {"L02", "", "the optimizer does not choose its own learning rate", rate_is_fixed},
    {"L03", "", "an increment warms up", warms_up},
    {"E01", "epochs", "the data are not seen too often", passes_are_few},
    {"E02", "", "there are enough steps", steps_are_enough},
    {"R01", "", "what the parent learned is protected", parent_is_protected},
    {"R02", "", "the parent's data are there for replay", replay_data_is_there},
};

}  // namespace

std::span<const CheckRow> run_checks() { return kChecks; }

}  // namespace lora
