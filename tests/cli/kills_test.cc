// SPDX-License-Identifier: Apache-2.0
// Nothing finished is lost, wherever a program is killed: at random moments of a run, and just before
// each call that changes a file system in the publishing of a run, in an import and in two exports.
// LORA_KILLS: how many in all, 20 where it is not set; from 200 on as many of each kind. Where there
// are more calls than kills, these are evenly spread. Prints the counts.
#include <gmock/gmock.h>

#include <algorithm>
#include <iostream>
#include <random>

#include "base/draft.h"
#include "tests/cli/run.h"
#include "versions/refs.h"
#include "versions/verify.h"

namespace lora::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using Words = std::vector<std::string>;

constexpr int kSteps = 12;

int kills_of_a_kind() {
  constexpr int kKinds = 5, kMany = 200;
  const char* text = std::getenv("LORA_KILLS");
  const int all = text == nullptr ? 20 : std::atoi(text);
  return all < kMany ? std::max(1, all / kKinds) : all;
}

void print(const std::string& what, std::size_t count, std::size_t of) {
  std::cout << "kills: " << what << ": " << count << " of " << of << ", nothing lost\n";
}

// `first` to `last`, or some of them.
std::vector<int> points(int first, int last) {
  const int all = last - first + 1, wanted = std::min(all, kills_of_a_kind());
  std::vector<int> chosen;
  for (int i = 0; i < wanted; ++i) chosen.push_back(first + i * all / wanted);
  return chosen;
}

// The program with kill_at (tests/kill) in front of it.
Words with_kill_at(int call, const Words& arguments) {
  Words words = {"env", std::string("LD_PRELOAD=") + LORA_KILL_LIBRARY,
                 join("LORA_KILL_AT=", call), "LORA_KILL_COUNT=calls", LORA_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

// Calls that change a file system in an uninterrupted command.
int calls_of(const Words& arguments) {
  const Ran ran = Program(with_kill_at(0, arguments), workplace() / "").wait();
  EXPECT_EQ(ran.code, 0) << ran.err;
  return std::stoi(workplace().read("calls"));
}

void kill_at(int call, const Words& arguments) {
  const Ran ran = Program(with_kill_at(call, arguments), workplace() / "").wait();
  EXPECT_EQ(ran.code, 128 + SIGKILL) << ran.err;
}

void remove(const std::string& name) { fs::remove_all(workplace() / name); }

// No draft is left where the next command has looked.
void expect_no_drafts(const std::string& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(workplace() / folder)) {
    EXPECT_FALSE(is_draft_name(entry.path().filename().string())) << entry.path();
  }
}

// Committed in every respect, once some command has looked at the root.
void expect_whole_commit(const std::string& root, const std::string& name) {
  EXPECT_EQ(workplace().lora({"log", "--root", root}).code, 0);
  const Path folder = workplace() / root;
  EXPECT_THAT(verify_version(folder / name).problems, IsEmpty());
  EXPECT_EQ(read_ref(folder, "latest"), name);
  int lines = 0;
  for (const RefMove& move : read_journal(folder)) lines += move.to == name;
  EXPECT_EQ(lines, 1);
  const auto bits = fs::status(folder / name / kManifestName).permissions();
  EXPECT_EQ(bits & fs::perms::owner_write, fs::perms::none);
}

Words training(const std::string& root) {
  return {"train",   "--config", "v1.yaml", join("output_dir=./", root, "/v1"),
          join("max_steps=", kSteps), "save_steps=0"};
}

Words resumed(Words arguments) {
  arguments.emplace_back("--resume");
  return arguments;
}

bool finished_training(const std::string& root) {
  return workplace().has(join(root, "/v1/checkpoints/step-0000", kSteps, "/state.json"));
}

// After a kill: the version is there, or the run goes on, from its last step where it had done it.
void expect_nothing_lost(const std::string& root, const std::string& adapter) {
  const bool finished = finished_training(root);
  if (!workplace().has(root + "/v1/version.json")) {
    const bool begun = workplace().has(root + "/v1");
    const Ran next = workplace().lora(begun ? resumed(training(root)) : training(root));
    ASSERT_EQ(next.code, 0) << next.err;
    if (finished) {
      EXPECT_THAT(next.err, HasSubstr(join(" at step ", kSteps, " of ", kSteps)));
    }
  }
  EXPECT_EQ(sha256(workplace().read(root + "/v1/pytorch_lora_weights.safetensors")),
            sha256(adapter));
  expect_whole_commit(root, "v1");
  expect_no_drafts(root);
}

TEST(LongKills, AtRandomMomentsOfARun) {
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(workplace().lora(training("whole")).code, 0);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
  const std::string adapter = workplace().read("whole/v1/pytorch_lora_weights.safetensors");
  std::mt19937 random(std::random_device{}());
  std::uniform_real_distribution<double> moment(0, whole.count());
  const int all = kills_of_a_kind();
  for (int i = 0; i < all; ++i) {
    const std::chrono::duration<double> after(moment(random));
    SCOPED_TRACE(join("killed after ", after.count(), " of ", whole.count(), " s"));
    Program run = workplace().start(training("random"));
    std::this_thread::sleep_for(after);
    run.send(SIGKILL);
    run.wait();
    expect_nothing_lost("random", adapter);
    remove("random");
  }
  print("random moments of a run", static_cast<std::size_t>(all), static_cast<std::size_t>(all));
  remove("whole");
}

// The run is killed at its last calls: from the checkpoint of the last step to the end.
TEST(LongKills, AtEachCallOfPublishing) {
  const int all = calls_of(training("whole"));
  const std::string adapter = workplace().read("whole/v1/pytorch_lora_weights.safetensors");
  int first = all;  // the first one at which the last step has been saved
  for (int low = 1; low < first;) {
    const int middle = (low + first) / 2;
    kill_at(middle, training("search"));
    finished_training("search") ? first = middle : low = middle + 1;
    remove("search");
  }
  for (const int call : points(first, all)) {
    SCOPED_TRACE(join("killed at call ", call, " of ", all));
    kill_at(call, training("publishing"));
    expect_nothing_lost("publishing", adapter);
    remove("publishing");
  }
  print("calls of publishing", points(first, all).size(), static_cast<std::size_t>(all - first + 1));
  remove("whole");
}

TEST(LongKills, AtEachCallOfAnImport) {
  const Words arguments = {"import", "output/v1/adapter_model.safetensors", "--output",
                           "imports/a"};
  workplace();
  const int all = calls_of(arguments);
  remove("imports");
  for (const int call : points(1, all)) {
    SCOPED_TRACE(join("killed at call ", call, " of ", all));
    kill_at(call, arguments);
    if (!workplace().has("imports/a")) {
      const Ran again = workplace().lora(arguments);
      ASSERT_EQ(again.code, 0) << again.err;
    }
    expect_whole_commit("imports", "a");
    expect_no_drafts("imports");
    remove("imports");
  }
  print("calls of an import", points(1, all).size(), static_cast<std::size_t>(all));
}

TEST(LongKills, AtEachCallOfAnExport) {
  for (const std::string format : {"peft", "gguf"}) {
    const Words arguments = {"export", "--version", "v1",       "--format",
                             format,   "--output",  "exports/a"};
    const int all = calls_of(arguments);
    const auto content = [&] {
      return workplace().read(format == "peft" ? "exports/a/adapter_model.safetensors"
                                               : "exports/a");
    };
    const std::string whole = content();
    remove("exports");
    for (const int call : points(1, all)) {
      SCOPED_TRACE(join("killed at call ", call, " of ", all));
      kill_at(call, arguments);
      if (!workplace().has("exports/a")) {
        const Ran again = workplace().lora(arguments);
        ASSERT_EQ(again.code, 0) << again.err;
      }
      EXPECT_EQ(sha256(content()), sha256(whole));
      expect_no_drafts("exports");
      remove("exports");
    }
    print("calls of an export to " + format, points(1, all).size(), static_cast<std::size_t>(all));
  }
}

}  // namespace
}  // namespace lora::test
