// SPDX-License-Identifier: Apache-2.0
// Runs seen from another process: running, interrupted, killed. SIGSTOP holds a run still while it
// is looked at, so nothing here depends on how fast a machine is.
#include "versions/running.h"

#include <gmock/gmock.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "tests/cli/run.h"

namespace lora::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr int kSteps = 60;

std::vector<std::string> arguments_of(const std::string& name) {
  return {"train",
          "--config",
          "v1.yaml",
          "output_dir=./output/" + name,
          join("max_steps=", kSteps),
          "save_steps=5"};
}

Ran again(const std::string& name, bool resume) {
  std::vector<std::string> arguments = arguments_of(name);
  if (resume) arguments.push_back("--resume");
  return workplace().lora(arguments);
}

// Starts the run and stops its process after `step` steps.
std::unique_ptr<Program> held_at(const std::string& name, int step) {
  // make_unique would move it, and a Program stays where it is.
  std::unique_ptr<Program> program(new Program(workplace().start(arguments_of(name))));
  EXPECT_TRUE(program->wait_until([&] {
    const RunFacts run = look_at_run(workplace() / ("output/" + name));
    return run.status && run.status->step >= step;
  }));
  program->hold();
  return program;
}

json row_of(const std::string& name) {
  const Ran log = workplace().lora({"log", "--json"});
  EXPECT_EQ(log.code, 0) << log.err;
  const json list = json::parse(log.out);
  for (const json& row : list.at("versions")) {
    if (row.at("name") == name) return row;
  }
  return {};
}

TEST(CliRunning, ARunIsListedRefusedASecondResumeKilledListedAsDeadAndResumed) {
  const auto run = held_at("live", 6);
  const json row = row_of("live");
  EXPECT_EQ(row.at("state"), "running");
  EXPECT_EQ(row.at("committed"), false);
  EXPECT_EQ(row.at("pid"), run->pid());
  EXPECT_EQ(row.at("host"), host_name());
  EXPECT_GE(row.at("step"), 6);
  EXPECT_EQ(row.at("of"), kSteps);
  const std::string process = join("pid ", run->pid(), " on ", host_name());
  const std::string step = join("step ", row.at("step"), " of ", kSteps);
  EXPECT_THAT(workplace().lora({"log"}).out,
              HasSubstr(join("live  running: ", step, " (", process, ", since ",
                             row.at("started").get<std::string>(), ")\n")));
  for (const bool resume : {true, false}) {
    const Ran second = again("live", resume);
    EXPECT_EQ(second.code, 2);
    EXPECT_THAT(second.err, HasSubstr(join("lora: preflight W12: ./output/live: a run goes on in "
                                           "this folder (",
                                           process, ", ", step,
                                           "); wait for its end, or stop it there and continue it "
                                           "with --resume\n")));
  }
  const Ran shown = workplace().lora({"show", "live"});
  EXPECT_EQ(shown.code, 2);
  EXPECT_THAT(shown.err, HasSubstr(process));

  run->send(SIGKILL);
  EXPECT_EQ(run->wait().code, 128 + SIGKILL);
  EXPECT_EQ(row_of("live").at("state"), "dead");
  EXPECT_THAT(workplace().lora({"log"}).out,
              HasSubstr(join("live  dead: last heard of at ", step, " (", process, ", ")));
  const Ran resumed = again("live", true);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("resumed from "));
  EXPECT_EQ(row_of("live").at("state"), "committed");
  EXPECT_FALSE(row_of("live").contains("pid"));
}

TEST(CliRunning, ARunThatStoppedInOrderSaysSo) {
  const auto run = held_at("stopped", 2);
  run->send(SIGTERM);
  run->send(SIGCONT);
  EXPECT_EQ(run->wait().code, 130);
  const json row = row_of("stopped");
  EXPECT_EQ(row.at("state"), "interrupted");
  EXPECT_THAT(workplace().lora({"log"}).out,
              HasSubstr(join("stopped  interrupted at step ", row.at("step"), " of ", kSteps,
                             ": continue it with --resume\n")));
  EXPECT_EQ(again("stopped", true).code, 0);
  EXPECT_EQ(row_of("stopped").at("state"), "committed");
}

TEST(CliRunning, ARunWithoutItsStatusFileStillHoldsItsFolder) {
  const auto run = held_at("silent", 2);
  workplace().write("output/silent/logs/run.json", "{");
  EXPECT_THAT(workplace().lora({"log"}).out,
              HasSubstr("silent  running (its logs/run.json cannot be read)\n"));
  const Ran second = again("silent", true);
  EXPECT_EQ(second.code, 2);
  EXPECT_THAT(second.err, HasSubstr(": a run goes on in this folder (another process); "));
}

}  // namespace
}  // namespace lora::test
