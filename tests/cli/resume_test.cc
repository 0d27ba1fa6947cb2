// SPDX-License-Identifier: Apache-2.0
// Runs that are interrupted or killed, and go on as if nothing had happened.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <random>

#include "tests/cli/run.h"

namespace lora::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr int kSteps = 40;

std::vector<std::string> arguments_of(const std::string& name) {
  return {"train",
          "--config",
          "v1.yaml",
          "output_dir=./output/" + name,
          join("max_steps=", kSteps),
          "save_steps=6"};
}

int steps_done(const std::string& name) {
  std::ifstream in(workplace() / ("output/" + name + "/logs/metrics.jsonl"));
  int steps = 0;
  for (std::string line; std::getline(in, line);) ++steps;
  return steps;
}

// The adapter of a run that nobody interrupts.
const std::string& uninterrupted() {
  static const std::string adapter = [] {
    const Ran run = workplace().lora(arguments_of("whole"));
    EXPECT_EQ(run.code, 0) << run.err;
    return workplace().adapter("whole");
  }();
  return adapter;
}

// Starts the run `name` and sends `signal` after `step` steps.
Ran stop_at(const std::string& name, int step, int signal) {
  Program program = workplace().start(arguments_of(name));
  EXPECT_TRUE(program.wait_until([&] { return steps_done(name) >= step; }));
  program.send(signal);
  return program.wait();
}

Ran resume(const std::string& name) {
  std::vector<std::string> arguments = arguments_of(name);
  arguments.push_back("--resume");
  return workplace().lora(arguments);
}

// Every step is logged once.
void expect_whole_log(const std::string& name) {
  std::ifstream in(workplace() / ("output/" + name + "/logs/metrics.jsonl"));
  int step = 0;
  for (std::string line; std::getline(in, line);) EXPECT_EQ(json::parse(line)["step"], ++step);
  EXPECT_EQ(step, kSteps);
}

TEST(CliResume, AnInterruptedRunGivesTheSameBytes) {
  std::random_device random;
  for (int i = 0; i < 2; ++i) {
    const std::string name = join("interrupted", i);
    const int step = std::uniform_int_distribution<int>(1, kSteps / 2)(random);
    SCOPED_TRACE(join("interrupted after step ", step));
    const Ran stopped = stop_at(name, step, i == 0 ? SIGTERM : SIGINT);
    EXPECT_EQ(stopped.code, 130) << stopped.err;
    EXPECT_THAT(stopped.err, HasSubstr("; go on with: lora train --config v1.yaml "));
    EXPECT_FALSE(workplace().has("output/" + name + "/version.json"));
    const Ran without = workplace().lora(arguments_of(name));
    EXPECT_EQ(without.code, 2);
    EXPECT_THAT(without.err, HasSubstr("continue it with --resume, or choose a new output_dir\n"));
    const Ran resumed = resume(name);
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr("resumed from "));
    EXPECT_EQ(sha256(workplace().adapter(name)), sha256(uninterrupted()));
    expect_whole_log(name);
  }
}

TEST(CliResume, AKilledRunGoesOnFromItsLastCheckpoint) {
  const Ran killed = stop_at("killed", 8, SIGKILL);
  EXPECT_EQ(killed.code, 128 + SIGKILL);
  EXPECT_FALSE(workplace().has("output/killed/version.json"));

  const Ran all = workplace().lora({"verify", "v1", "--json"});
  EXPECT_EQ(all.code, 0) << all.out;
  const Ran one = workplace().lora({"verify", "killed"});
  EXPECT_EQ(one.code, 1);
  EXPECT_THAT(one.out, HasSubstr("killed: not finished: "));
  EXPECT_THAT(workplace().lora({"log"}).out,
              HasSubstr("killed  dead: last heard of at step "));

  const Ran resumed = resume("killed");
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("resumed from "));
  EXPECT_EQ(sha256(workplace().adapter("killed")), sha256(uninterrupted()));
  expect_whole_log("killed");
}

TEST(CliResume, ARunKilledBeforeItsFirstCheckpointStartsAgain) {
  EXPECT_EQ(stop_at("early", 2, SIGKILL).code, 128 + SIGKILL);
  const Ran resumed = resume("early");
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(sha256(workplace().adapter("early")), sha256(uninterrupted()));
  expect_whole_log("early");
}

TEST(CliResume, RefusesWhatCannotGoOn) {
  const Ran finished = workplace().train("v1.yaml", {"--resume"});
  EXPECT_EQ(finished.code, 2);
  EXPECT_THAT(finished.err, HasSubstr("./output/v1: this version is finished, there is nothing to "
                                      "resume; choose a new output_dir\n"));
  const Ran unknown = workplace().train("v1.yaml", {"output_dir=./output/no", "--resume"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("./output/no: no run to resume (no such folder); start it "
                                     "without --resume\n"));
}

}  // namespace
}  // namespace lora::test
