// SPDX-License-Identifier: Apache-2.0
// Finished work is kept, whatever happens to a run and to the files around it.
#include <gmock/gmock.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "tests/cli/run.h"
#include "versions/refs.h"
#include "versions/running.h"
#include "versions/version.h"

namespace lora::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using Words = std::vector<std::string>;

constexpr int kSteps = 40;

// A run into a root of its own with files of its own.
class CliFinished : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::UnitTest::GetInstance()->current_test_info()->name();
    place().write(root_ + ".jsonl", place().read("old.jsonl"));
    place().write(root_ + ".yaml", place().read("v1.yaml"));
    fs::create_directories(place() / root_);
  }
  static const Workplace& place() { return workplace(); }
  Words training(const std::string& name = "v1") const {
    return {"train",        "--config",
            root_ + ".yaml", "output_dir=" + root_ + "/" + name,
            "train_data_dir=" + root_ + ".jsonl", join("max_steps=", kSteps)};
  }
  Words resumed() const {
    Words words = training();
    words.emplace_back("--resume");
    return words;
  }
  bool has(const std::string& file) const { return place().has(root_ + "/v1/" + file); }
  std::string last_checkpoint() const { return join("checkpoints/step-0000", kSteps); }
  // Stops the run's process after `step` steps.
  std::unique_ptr<Program> held_at(int step) const {
    std::unique_ptr<Program> program(new Program(place().start(training())));
    EXPECT_TRUE(program->wait_until([&] {
      const RunFacts run = look_at_run(place() / (root_ + "/v1"));
      return run.status && run.status->step >= step;
    }));
    program->hold();
    return program;
  }
  std::string root_;
};

TEST_F(CliFinished, FilesMayBeMovedAndEditedWhileARunGoesOn) {
  const std::string yaml = place().read(root_ + ".yaml");
  const std::string hash = sha256_file(place() / (root_ + ".jsonl"));
  const auto run = held_at(3);
  place().write(root_ + ".yaml", "learning_rate: 99\n");
  fs::rename(place() / (root_ + ".jsonl"), place() / (root_ + ".moved"));
  run->send(SIGCONT);
  const Ran ran = run->wait();
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(place().read(root_ + "/v1/config.yaml"), yaml);
  const json version = json::parse(place().read(root_ + "/v1/version.json"));
  EXPECT_EQ(version.at("data").at("file_sha256").at(root_ + ".jsonl"), hash);
  EXPECT_FALSE(has("checkpoints"));
}

TEST_F(CliFinished, AParentMayBeRemovedWhileARunGoesOn) {
  fs::copy(place() / "output/v1", place() / (root_ + "/parent"), fs::copy_options::recursive);
  Words words = training();
  words.emplace_back("init_lora_weights=" + root_ + "/parent");
  words.emplace_back("allow=[epochs]");
  std::unique_ptr<Program> run(new Program(place().start(words)));
  EXPECT_TRUE(run->wait_until([&] {
    const RunFacts facts = look_at_run(place() / (root_ + "/v1"));
    return facts.status && facts.status->step >= 3;
  }));
  run->hold();
  const std::string hash = sha256_file(place() / (root_ + "/parent/" + std::string(kWeightsName)));
  fs::remove_all(place() / (root_ + "/parent"));
  run->send(SIGCONT);
  const Ran ran = run->wait();
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json version = json::parse(place().read(root_ + "/v1/version.json"));
  EXPECT_EQ(version.at("parents").at(0).at("file_sha256"), hash);
}

TEST_F(CliFinished, SignalsAfterTheLastStepLoseNothing) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGKILL}) {
    SCOPED_TRACE(join("signal ", signal));
    Program run = place().start(training());
    EXPECT_TRUE(run.wait_until([&] { return has(last_checkpoint()); }));
    run.hold();
    run.send(signal);
    run.send(SIGCONT);
    const Ran ran = run.wait();
    EXPECT_THAT(ran.code, AnyOf(0, 130, 128 + SIGKILL)) << ran.err;
    if (!has("version.json")) {
      EXPECT_NE(ran.code, 0);
      const Ran next = place().lora(resumed());
      ASSERT_EQ(next.code, 0) << next.err;
      EXPECT_THAT(next.err, HasSubstr(join(" at step ", kSteps, " of ", kSteps)));
    }
    EXPECT_FALSE(has("checkpoints"));
    fs::remove_all(place() / root_);
  }
}

TEST_F(CliFinished, ATerminalThatIsClosedStopsARunInOrder) {
  const auto run = held_at(3);
  run->send(SIGHUP);
  run->send(SIGCONT);
  const Ran ran = run->wait();
  EXPECT_EQ(ran.code, 130) << ran.err;
  EXPECT_EQ(place().lora(resumed()).code, 0);
  // nohup means it.
  fs::remove_all(place() / root_);
  Words words = {"nohup", LORA_BINARY};
  for (const std::string& word : training()) words.push_back(word);
  Program detached(words, place() / "");
  EXPECT_TRUE(detached.wait_until([&] {
    const RunFacts facts = look_at_run(place() / (root_ + "/v1"));
    return facts.status && facts.status->step >= 3;
  }));
  detached.send(SIGHUP);
  EXPECT_EQ(detached.wait().code, 0);
}

TEST_F(CliFinished, OutputThatNobodyReadsEndsNoRun) {
  std::string command = "( " + std::string(LORA_BINARY);
  for (const std::string& word : training()) command += " " + word;
  command += " save_steps=2; echo $? > " + root_ + ".code ) 2>&1 | sed '/step 2: saved/q' > /dev/null";
  place().shell(command);
  EXPECT_EQ(place().read(root_ + ".code"), "0\n");
  EXPECT_TRUE(has("version.json"));
}

TEST_F(CliFinished, RunsOfOneRootGoSideBySide) {
  std::vector<std::unique_ptr<Program>> runs;
  for (const char* name : {"a", "b", "c"}) {
    runs.emplace_back(new Program(place().start(training(name))));
  }
  for (const auto& run : runs) {
    const Ran ran = run->wait();
    EXPECT_EQ(ran.code, 0) << ran.err;
  }
  EXPECT_EQ(read_journal(place() / root_).size(), 3U);
  EXPECT_EQ(place().lora({"verify", "--root", root_}).code, 0);
}

TEST_F(CliFinished, AFileSystemWithoutChmodIsOneOfThem) {
  Words words = {"env", std::string("LD_PRELOAD=") + LORA_KILL_LIBRARY, "LORA_NO_CHMOD=1",
                 LORA_BINARY};
  for (const std::string& word : training()) words.push_back(word);
  const Ran ran = Program(words, place() / "").wait();
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("its files cannot be made read-only on this file system\n"));
  EXPECT_EQ(place().lora({"verify", "--root", root_}).code, 0);
}

TEST_F(CliFinished, NamesInOtherEncodingsEndNothing) {
  fs::create_directories(place() / root_);
  fs::copy(place() / "output/v1/adapter_model.safetensors",
           place() / (root_ + "/caf\xe9.safetensors"));
  fs::copy(place() / "output/v1/adapter_config.json", place() / (root_ + "/adapter_config.json"));
  const Ran ran = Program({"env", "USER=jos\xe9", LORA_BINARY, "import",
                           root_ + "/caf\xe9.safetensors", "--output", root_ + "/v1"},
                          place() / "")
                      .wait();
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json version = json::parse(place().read(root_ + "/v1/version.json"));
  EXPECT_EQ(version.at("parents").at(0).at("name"), root_ + "/caf\\xe9.safetensors");
  EXPECT_EQ(read_ref(place() / root_, "latest"), "v1");
  const Ran bad = place().lora({"import", "output/v1", "--output", root_ + "/v\xe9"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("is not valid UTF-8 (found byte 0xE9 at position 2)"));
  const Ran longer = place().lora({"import", "output/v1", "--output", root_ + "/" +
                                                                         std::string(300, 'n')});
  EXPECT_EQ(longer.code, 2);
  EXPECT_THAT(longer.err, HasSubstr("is too long for a name (found 300 bytes, expected at most "));
}

// In a file system of 4 MiB of its own, which others fill while the run goes on.
TEST_F(CliFinished, AFullDiskCostsNoStep) {
  const std::string user = geteuid() == 0 ? "" : "r";
  if (place().shell("unshare -m" + user + " mount -t tmpfs none " + root_).code != 0) {
    GTEST_SKIP() << "no file system can be mounted here";
  }
  std::string train = LORA_BINARY;
  for (const std::string& word : training()) train += " " + word;
  const Ran ran = place().shell("exec unshare -m" + user + " sh -c 'mount -t tmpfs -o size=4m none " +
                                root_ + "; (until [ -d " + root_ + "/v1/logs ]; do sleep 0.01; done; " +
                                "cat /dev/zero > " + root_ + "/filler) 2> /dev/null & " + train +
                                "; echo full $?; rm " + root_ + "/filler; " + train +
                                " --resume; echo resumed $?'");
  EXPECT_THAT(ran.err, HasSubstr("/v1/checkpoints/step-0000"));
  const std::string saved = ran.err.substr(0, ran.err.find(": mend this and go on with --resume"));
  const std::string step = saved.substr(saved.rfind('/') + 1);
  EXPECT_THAT(saved, HasSubstr("is the disk full?; step "));
  EXPECT_THAT(ran.err, HasSubstr("resumed from " + root_ + "/v1/checkpoints/" + step));
  EXPECT_THAT(ran.out, AllOf(HasSubstr("full 1\n"), HasSubstr("resumed 0\n")));
}

TEST_F(CliFinished, AFullStandardOutputIsTold) {
  for (const std::string command : {"log --json", "log", "help", "help config", "inspect v1 --json"}) {
    const Ran ran = place().shell(std::string(LORA_BINARY) + " " + command + " > /dev/full");
    EXPECT_EQ(ran.code, 1) << command;
    EXPECT_EQ(ran.err, "lora: standard output: cannot be written; is the disk full?\n") << command;
  }
}

TEST_F(CliFinished, WeightsThatDifferFromTheirRecordAreNotUsed) {
  fs::copy(place() / "output/v1", place() / (root_ + "/v1"), fs::copy_options::recursive);
  for (const char* name : {"pytorch_lora_weights.safetensors", "adapter_model.safetensors"}) {
    const std::string file = root_ + "/v1/" + name;
    std::string bytes = place().read(file);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    fs::remove(place() / file);
    place().write(file, bytes);
  }
  const std::string version = root_ + "/v1";
  const Words commands[] = {
      {"export", "--version", version, "--format", "peft", "--output", root_ + "/x"},
      {"eval", "--base", place().base(), "--version", version, "--data", "eval.jsonl"},
      {"generate", "--base", place().base(), "--version", version, "--prompt", "Hello"}};
  for (const Words& command : commands) {
    const Ran ran = place().lora(command);
    EXPECT_EQ(ran.code, 3) << command[0];
    EXPECT_THAT(ran.err, HasSubstr("lora: " + version + ": not as recorded (")) << command[0];
  }
  const Ran next = place().train("v2.yaml", {"init_lora_weights=" + version, "--check"});
  EXPECT_EQ(next.code, 2);
  EXPECT_THAT(next.err, HasSubstr("does not match what was recorded of it ("));
  EXPECT_FALSE(place().has(root_ + "/x"));
}

TEST_F(CliFinished, AKilledImportOfAnEarlierReleaseIsNoRunToResume) {
  fs::create_directories(place() / (root_ + "/v1"));
  place().write(root_ + "/v1/adapter_model.safetensors.tmp", "half");
  const Ran ran = place().lora({"import", "output/v1", "--output", root_ + "/v1"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "lora: " + root_ +
                         "/v1: this folder exists and holds files of something else; choose another "
                         "name, or move it away\n");
}

TEST_F(CliFinished, ALinkOutOfTheFolderOfARunIsRefused) {
  const auto run = held_at(3);
  run->send(SIGKILL);
  run->wait();
  fs::create_directories(place() / (root_ + "/elsewhere"));
  fs::remove_all(place() / (root_ + "/v1/checkpoints"));
  fs::create_directory_symlink("../elsewhere", place() / (root_ + "/v1/checkpoints"));
  const Ran ran = place().lora(resumed());
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr(root_ + "/v1/checkpoints: is a link out of the run's folder (found in " +
                                 root_ + "/v1); put the files themselves there"));
  EXPECT_TRUE(fs::is_empty(place() / (root_ + "/elsewhere")));
}

TEST_F(CliFinished, MetadataOfTextsIsWhatIsTrainedOn) {
  Words words = training();
  words.insert(words.end(), {"metadata_path=new.jsonl", "--check"});
  const Ran ran = place().lora(words);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("data: 24 samples of new.jsonl ("));
  EXPECT_THAT(ran.err, Not(HasSubstr(root_ + ".jsonl (")));
}

}  // namespace
}  // namespace lora::test
