// SPDX-License-Identifier: Apache-2.0
#include "versions/running.h"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <optional>

#include "versions/store_fixture.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class RunningTest : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    folder_ = root_ / "v1";
    reserve_folder(folder_, false);
  }
  RunState state() const { return look_at_run(folder_).state; }
  json status() const { return json::parse(read_file(folder_ / "logs/run.json")); }

  Path folder_;
};

TEST_F(RunningTest, ARunIsListedWithItsProcessAndStep) {
  RunningRun run(folder_, 40);
  EXPECT_EQ(status().at("step"), 0);
  run.progress(12);
  EXPECT_EQ(status().at("step"), 12);
  EXPECT_EQ(status().at("of"), 40);
  EXPECT_EQ(status().at("interrupted"), false);
  const RunFacts found = look_at_run(folder_);
  EXPECT_EQ(found.state, RunState::running);
  ASSERT_TRUE(found.status);
  EXPECT_EQ(found.status->pid, ::getpid());
  EXPECT_EQ(found.status->host, host_name());
  EXPECT_GT(found.status->process_start, 0);
  EXPECT_EQ(run_text(found), join("running: step 12 of 40 (pid ", ::getpid(), " on ", host_name(),
                                  ", since ", found.status->started, ")"));
  EXPECT_EQ(list_versions(root_).at(0).run.state, RunState::running);
}

TEST_F(RunningTest, ASecondRunIsRefused) {
  std::optional<RunningRun> run(std::in_place, folder_, 40);
  run->progress(3);
  const std::string refusal =
      folder_.string() + join(": a run goes on in this folder (pid ", ::getpid(), " on ",
                              host_name(),
                              ", step 3 of 40); wait for its end, or stop it "
                              "there and continue it with --resume");
  EXPECT_EQ(message_of([&] { RunningRun second(folder_, 40); }), refusal);
  EXPECT_EQ(message_of([&] { reserve_folder(folder_, true); }), refusal);
  EXPECT_EQ(message_of([&] { require_free(folder_, false); }), refusal);
  EXPECT_EQ(message_of([&] { locate_version("v1", root_); }), refusal);
  EXPECT_EQ(status().at("step"), 3);  // the refused ones left it alone
  run.reset();
  reserve_folder(folder_, true);
  RunningRun third(folder_, 40);
  EXPECT_EQ(state(), RunState::running);
}

TEST_F(RunningTest, AnInterruptedRunSaysSo) {
  RunningRun(folder_, 40).interrupted(7);
  EXPECT_EQ(state(), RunState::interrupted);
  EXPECT_EQ(run_text(look_at_run(folder_)),
            "interrupted at step 7 of 40: continue it with --resume");
}

TEST_F(RunningTest, ARunThatWasKilledIsDead) {
  const pid_t child = ::fork();
  if (child == 0) {
    RunningRun run(folder_, 40);
    run.progress(9);
    ::kill(::getpid(), SIGKILL);
  }
  int ended = 0;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  ASSERT_TRUE(WIFSIGNALED(ended));
  const RunFacts found = look_at_run(folder_);
  EXPECT_EQ(found.state, RunState::dead);
  EXPECT_EQ(run_text(found),
            join("dead: last heard of at step 9 of 40 (pid ", child, " on ", host_name(), ", ",
                 found.status->updated, "): continue it with --resume"));
  RunningRun next(folder_, 40);
  EXPECT_EQ(state(), RunState::running);
}

// A program that the run starts does not keep the lock.
TEST_F(RunningTest, ChildrenDoNotInheritTheLock) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  std::optional<RunningRun> run(std::in_place, folder_, 40);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ready[1], 1);
    ::execlp("sh", "sh", "-c", "echo; exec sleep 600", nullptr);
    ::_exit(127);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);  // the child is another program now
  run.reset();
  EXPECT_EQ(state(), RunState::dead);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(RunningTest, AMissingOrBrokenStatusIsNoObstacle) {
  const std::string dead = "dead: not finished: continue it with --resume";
  EXPECT_EQ(run_text(look_at_run(folder_)), dead);
  for (const char* text : {"", "{", "[]", "{\"pid\": \"x\"}", "\xff\xfe"}) {
    write_file_atomic(folder_ / "logs/run.json", text);
    EXPECT_EQ(run_text(look_at_run(folder_)), dead) << text;
  }
  RunningRun run(folder_, 40);
  fs::remove(folder_ / "logs/run.json");
  EXPECT_EQ(run_text(look_at_run(folder_)), "running (its logs/run.json cannot be read)");
  EXPECT_THAT(message_of([&] { refuse_running(folder_); }),
              HasSubstr(": a run goes on in this folder (another process); wait for its end"));
  run.progress(1);
  EXPECT_EQ(status().at("step"), 1);
}

TEST_F(RunningTest, NumbersThatAreNoneAreNotShown) {
  RunningRun(folder_, 40).interrupted(7);
  for (const json& wrong : {json(1e308), json(-5), json("5"), json(nullptr)}) {
    for (const char* name : {"step", "of", "pid", "process_start"}) {
      json edited = status();
      edited[name] = wrong;
      write_file_atomic(root_ / "v1/logs/run.json", edited.dump());
      EXPECT_FALSE(look_at_run(folder_).status) << name << wrong;
      edited[name] = 7;
      write_file_atomic(root_ / "v1/logs/run.json", edited.dump());
    }
  }
}

TEST_F(RunningTest, ARunWhoseLockWasRemovedStillRuns) {
  RunningRun run(folder_, 40);
  run.require_folder();
  fs::remove(folder_ / "logs/run.lock");
  EXPECT_EQ(state(), RunState::running);
  EXPECT_THAT(message_of([&] { reserve_folder(folder_, true); }),
              HasSubstr("a run goes on in this folder (pid "));
  EXPECT_THAT(message_of([&] { run.require_folder(); }, Exit::failed),
              HasSubstr("was moved or removed while the run went on; nothing is published here"));
}

TEST_F(RunningTest, AMovedRunDoesNotPublish) {
  RunningRun run(folder_, 40);
  fs::rename(folder_, root_ / "moved");
  EXPECT_THAT(message_of([&] { run.require_folder(); }, Exit::failed),
              HasSubstr("move it back and continue it with --resume"));
}

TEST_F(RunningTest, ACommittedVersionIsCommittedWhateverItsRunSays) {
  RunningRun(folder_, 40).interrupted(7);
  make("v2", 1);
  fs::copy(folder_ / "logs", root_ / "v2/logs",
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  EXPECT_EQ(look_at_run(root_ / "v2").state, RunState::committed);
  EXPECT_THAT(message_of([&] { RunningRun late(root_ / "v2", 40); }),
              HasSubstr("another process has just finished this version; choose a new output_dir"));
}

}  // namespace
}  // namespace lora
