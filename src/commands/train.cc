// SPDX-License-Identifier: Apache-2.0
// The run itself: src/runs (plan.cc, execute.cc).
#include "commands/train.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/reading.h"
#include "commands/cli.h"
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
  Options options;
  CLI::App app;
  app.add_option("--config", options.config)->required();
  app.add_flag("--check", options.check);
  app.add_flag("--resume", options.resume);
  app.add_flag("--json", options.json);
  app.add_option("overrides", options.overrides);
  parse_arguments(app, "train", arguments);
  return options;
}

RunRequest request_of(const Options& options) {
  std::string again = "lora train --config " + options.config;
  for (const std::string& pair : options.overrides) again += " '" + pair + "'";
  return {.config = load_config(options.config, options.overrides),
          .yaml = read_file(options.config),
          .resume_command = again + " --resume"};
}

void print(const nlohmann::json& json) { fmt::print("{}\n", json.dump(1)); }

int check(const RunPlan& plan, const Options& options) {
  if (options.json) print(plan_json(plan));
  require_ready(plan, options.resume);
  if (!options.json) {
    fmt::print("check passed: {} checks; start without --check to train\n", plan.checks.size());
  }
  return 0;
}

}  // namespace

int run_train(const Arguments& arguments) {
  const Options options = parse(arguments);
  RunPlan plan = reading([&] { return plan_run(request_of(options)); });
  for (const std::string& line : plan_lines(plan)) info(line);
  if (options.check) return check(plan, options);
  const RunOutcome outcome = execute(plan, options.resume);
  if (!outcome.version) return static_cast<int>(Exit::interrupted);
  if (options.json) print(outcome_json(plan, outcome));
  return 0;
}

}  // namespace lora
