// SPDX-License-Identifier: Apache-2.0
#include "runs/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "runs/execute.h"
#include "tests/cli/run.h"

namespace lora {
namespace {

using testing::Contains;
using testing::HasSubstr;

// `more` wins over the settings above it.
RunRequest request_of(const test::Workplace& place, const std::vector<std::string>& more) {
  const std::string yaml = "base_model: " + place.base() +
                           "\ntrain_data_dir: " + (place / "old.jsonl").string() +
                           "\noutput_dir: " + (place / "output" / "v1").string() +
                           "\nlora_rank: 2\nlora_alpha: 4\ntarget_modules: q_proj\nbatch_size: 4\n"
                           "max_steps: 2\nlearning_rate: 1e-3\nmixed_precision: no\nthreads: 1\n";
  return {.config = parse_config(yaml, "v1.yaml", more), .yaml = yaml, .resume_command = ""};
}

TEST(PlanRun, SaysWhatWillBeDoneAndWritesNothing) {
  const test::Workplace place;
  const RunPlan plan = plan_run(request_of(place, {}));
  EXPECT_EQ(plan.steps, 2);
  EXPECT_EQ(plan.targets.size(), 6U);
  EXPECT_EQ(plan.machine.threads, 1);
  const std::vector<std::string> lines = plan_lines(plan);
  EXPECT_THAT(lines, Contains("machine: cpu, 1 threads; float32, as configured"));
  EXPECT_THAT(lines, Contains("adapter: 6 modules, " + std::to_string(plan.trainable) +
                              " trainable numbers, rank 2, alpha 4"));
  EXPECT_THAT(lines, Contains("plan: 2 steps of 4 x 1, learning rate 0.001 (cosine)"));
  const nlohmann::json json = plan_json(plan);
  EXPECT_EQ(json.at("passed"), true);
  EXPECT_EQ(json.at("steps"), 2);
  EXPECT_EQ(json.at("checks").size(), plan.checks.size());
  EXPECT_FALSE(place.has("output/v1"));
  EXPECT_NO_THROW(require_passed(plan.checks));
}

// No model is read for it.
TEST(PlanRun, ARefusedFolderIsAFailedCheck) {
  const test::Workplace place;
  std::filesystem::create_directories(place / "output/v1/checkpoints");
  const std::string v1 = (place / "output/v1").string();
  const std::string message =
      v1 + ": this folder exists (an unfinished run?); continue it with --resume, or choose a new "
           "output_dir";
  RunPlan plan = plan_run(request_of(place, {}));
  EXPECT_EQ(plan.task, nullptr);
  const nlohmann::json refused = {{"id", "W12"}, {"verdict", "error"}, {"message", message}};
  EXPECT_EQ(plan_json(plan),
            (nlohmann::json{{"passed", false}, {"checks", nlohmann::json::array({refused})}}));
  EXPECT_THAT(plan_lines(plan), testing::ElementsAre("checks: 1 error"));
  try {
    execute(plan);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    EXPECT_EQ(error.what(), "preflight W12: " + message);
  }
  RunRequest resumed = request_of(place, {});
  resumed.resume = true;
  EXPECT_EQ(plan_json(plan_run(std::move(resumed))).at("passed"), true);
  RunRequest absent = request_of(place, {"output_dir=" + (place / "output/v2").string()});
  absent.resume = true;
  EXPECT_EQ(plan_json(plan_run(std::move(absent))).at("checks").at(0).at("message"),
            (place / "output/v2").string() +
                ": no run to resume (no such folder); start it without --resume");
}

TEST(PlanRun, AFailedCheckStandsInThePlanAndStopsTheRun) {
  const test::Workplace place;
  RunPlan plan = plan_run(request_of(place, {"validation_data=" + (place / "old.jsonl").string()}));
  EXPECT_EQ(plan_json(plan).at("passed"), false);
  try {
    execute(plan);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    EXPECT_THAT(error.what(), HasSubstr("validation"));
  }
  EXPECT_FALSE(place.has("output/v1"));
}

TEST(PlanRun, IsCarriedOutAndContinuedFrom) {
  const test::Workplace place;
  RunPlan first = plan_run(request_of(place, {}));
  const RunOutcome outcome = execute(first);
  ASSERT_TRUE(outcome.version);
  EXPECT_EQ(outcome.version->name, "v1");
  EXPECT_EQ(place.read("output/v1/config.yaml"), first.request.yaml);
  const nlohmann::json json = outcome_json(first, outcome);
  EXPECT_EQ(json.at("id"), outcome.version->id);
  EXPECT_EQ(json.at("steps"), 2);
  EXPECT_FALSE(json.contains("best_step"));
  EXPECT_THAT(place.read("output/v1/logs/train.log"), HasSubstr("v1: 2 steps in "));

  const std::string v1 = (place / "output" / "v1").string(),
                    v2 = (place / "output" / "v2").string();
  RunRequest request = request_of(place, {"init_lora_weights=" + v1, "output_dir=" + v2,
                                          "train_data_dir=" + (place / "new.jsonl").string()});
  request.config.adapter.lora_rank.reset();
  request.config.adapter.lora_alpha.reset();
  request.config.optimisation.learning_rate.reset();
  const RunPlan second = plan_run(std::move(request));
  EXPECT_EQ(second.config.adapter.lora_rank, 2);
  EXPECT_EQ(second.config.adapter.lora_alpha, 4);
  EXPECT_DOUBLE_EQ(*second.config.optimisation.learning_rate, 4e-4);
  EXPECT_EQ(second.facts.parent->name, "v1");
}

}  // namespace
}  // namespace lora
