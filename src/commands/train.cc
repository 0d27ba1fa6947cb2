// SPDX-License-Identifier: Apache-2.0
// The run itself: src/runs (plan.cc, execute.cc).
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/reading.h"
#include "base/shown.h"
#include "cli/command_line.h"
#include "runs/execute.h"
#include "runs/plan.h"

namespace lora {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  bool check = false, resume = false, json = false;
};

Options parse(const Arguments& arguments) {
  const CommandLine line("train", arguments);
  return {.config = line.text("--config"),
          .overrides = line.list("overrides"),
          .check = line.given("--check"),
          .resume = line.given("--resume"),
          .json = line.given("--json")};
}

RunRequest request_of(const Options& options) {
  std::string again = "lora train --config " + options.config;
  for (const std::string& pair : options.overrides) again += " '" + pair + "'";
  std::string yaml = read_config(options.config);  // once: what is kept is what was used
  return {.config = parse_config(yaml, options.config, options.overrides),
          .yaml = std::move(yaml),
          .resume_command = again + " --resume",
          .resume = options.resume};
}

void print(const nlohmann::json& json) { say_json(json, 1); }

int check(const RunPlan& plan, const Options& options) {
  if (options.json) print(plan_json(plan));
  require_passed(plan.checks);
  if (!options.json) {
    say(join("check passed: ", plan.checks.size(), " checks; start without --check to train"));
  }
  return 0;
}

}  // namespace

int run_train(const Arguments& arguments) {
  const Options options = parse(arguments);
  RunPlan plan = reading([&] { return plan_run(request_of(options)); });
  for (const std::string& line : plan_lines(plan)) info(line);
  if (options.check) return check(plan, options);
  const RunOutcome outcome = execute(plan);
  if (!outcome.version) return static_cast<int>(Exit::interrupted);
  if (options.json) print(outcome_json(plan, outcome));
  return 0;
}

}  // namespace lora
