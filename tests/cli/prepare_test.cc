// SPDX-License-Identifier: Apache-2.0
// `lora prepare` and `lora label` as a user runs them: killed, run again, run twice, edited by
// hand.
#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "io/csv.h"
#include "io/image.h"
#include "tests/cli/contents.h"
#include "tests/cli/run.h"

namespace lora::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int kPictures = 14;

// A picture of noise: large enough that a run takes a while.
Image noise(std::uint32_t seed) {
  Image image{360, 300, std::vector<std::uint8_t>(360 * 300 * 3)};
  for (std::uint8_t& value : image.rgb) {
    seed = seed * 1664525U + 1013904223U;
    value = static_cast<std::uint8_t>(seed >> 24);
  }
  return image;
}

std::map<std::string, fs::file_time_type> times(const Path& folder) {
  std::map<std::string, fs::file_time_type> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) all[entry.path().string()] = entry.last_write_time();
  }
  return all;
}

// Names only: a run is at work there.
std::size_t pictures_in(const Path& folder) {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    count += entry.path().extension() == ".png";
  }
  return count;
}

// A folder of its own with pictures in `in`, half of them with a sidecar caption.
class CliPrepare : public testing::Test {
 protected:
  CliPrepare() {
    std::string name = (fs::temp_directory_path() / "lora_prepare_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) fail(name, ": no temporary folder");
    folder_ = name;
    for (int i = 0; i < kPictures; ++i) {
      const Path path = in() / join("thing ", i, ".png");
      write_png(path, noise(static_cast<std::uint32_t>(i)));
      if (i % 2 == 0) write_file_atomic(Path(path).replace_extension(".txt"), join("no. ", i));
    }
  }
  ~CliPrepare() override { fs::remove_all(folder_); }

  Path in() const { return folder_ / "in"; }
  std::vector<std::string> command(const std::string& out) const {
    return {LORA_BINARY,
            "prepare",
            "images",
            "--input",
            in().string(),
            "--output",
            (folder_ / out).string(),
            "--resolution",
            "256",
            "--trigger",
            "sks"};
  }
  Ran prepare(const std::string& out) const { return Program(command(out), folder_).wait(); }
  std::vector<std::string> label(const std::string& csv) const {
    return {LORA_BINARY, "label",
            "--input",   in().string(),
            "--output",  (folder_ / csv).string(),
            "--model",   std::string(LORA_SOURCE_DIR) + "/tests/fixtures/blip/model"};
  }

  // Kills a run when `out` holds `count` pictures; false: it ended before.
  bool kill_at(const std::string& out, std::size_t count) const {
    Program program(command(out), folder_);
    const bool reached = program.wait_until(
        [&] { return fs::exists(folder_ / out) && pictures_in(folder_ / out) >= count; });
    program.send(SIGKILL);
    program.wait();
    return reached;
  }

  Path folder_;
};

TEST_F(CliPrepare, KilledRunsLoseNothing) {
  const Contents originals = contents(in());
  const Ran whole = prepare("whole");
  ASSERT_EQ(whole.code, 0) << whole.err;
  const Contents expected = contents(folder_ / "whole");
  ASSERT_EQ(pictures_in(folder_ / "whole"), kPictures);
  for (const std::size_t count : {0U, 1U, 5U, 13U}) {
    const std::string out = join("killed_", count);
    EXPECT_TRUE(kill_at(out, count)) << count;
    EXPECT_TRUE(differing(contents(in()), originals).empty()) << "an original has changed";
    const Contents left = contents(folder_ / out);
    if (left.contains("metadata.csv")) {
      EXPECT_EQ(left.at("metadata.csv"), expected.at("metadata.csv"));
    }
    const Ran again = prepare(out);
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_THAT(differing(contents(folder_ / out), expected), testing::IsEmpty())
        << "killed at " << count << " pictures";
  }
  EXPECT_TRUE(differing(contents(in()), originals).empty());
}

TEST_F(CliPrepare, AKilledUpdateLeavesTheOldTableOrTheNewOne) {
  ASSERT_EQ(prepare("out").code, 0);
  const Contents before = contents(folder_ / "out");
  write_file_atomic(in() / "thing 2.txt", "another caption");
  write_png(in() / "thing 3.png", noise(77));
  fs::copy(folder_ / "out", folder_ / "reference", fs::copy_options::recursive);
  ASSERT_EQ(prepare("reference").code, 0);
  const Contents after = contents(folder_ / "reference");
  EXPECT_THAT(differing(before, after),
              testing::UnorderedElementsAre("thing 3.png", "metadata.csv", "metadata.jsonl",
                                            ".prepare.json"));
  for (int i = 0; i < 6; ++i) {
    const std::string out = join("killed_", i);
    fs::copy(folder_ / "out", folder_ / out, fs::copy_options::recursive);
    Program program(command(out), folder_);
    // Some kills come early, some as soon as the new picture is there.
    const auto start = std::chrono::steady_clock::now();
    program.wait_until([&] {
      const auto since = std::chrono::steady_clock::now() - start;
      return since > std::chrono::milliseconds(150 * (i + 1)) &&
             (i % 2 == 0 || read_file(folder_ / out / "thing 3.png") != before.at("thing 3.png"));
    });
    program.send(SIGKILL);
    program.wait();
    for (const char* name : {"metadata.csv", "metadata.jsonl"}) {
      const std::string table = read_file(folder_ / out / name);
      EXPECT_TRUE(table == before.at(name) || table == after.at(name)) << name << "\n" << table;
    }
    ASSERT_EQ(prepare(out).code, 0);
    EXPECT_THAT(differing(contents(folder_ / out), after), testing::IsEmpty()) << i;
  }
}

TEST_F(CliPrepare, ASecondRunTouchesNothing) {
  ASSERT_EQ(prepare("out").code, 0);
  const auto before = times(folder_ / "out");
  const Ran again = prepare("out");
  EXPECT_THAT(again.out, HasSubstr("(0 written, 14 unchanged, 0 removed)"));
  EXPECT_EQ(times(folder_ / "out"), before);
  write_png(in() / "thing 5.png", noise(99));
  const Ran changed = prepare("out");
  EXPECT_THAT(changed.out, HasSubstr("(1 written, 13 unchanged, 0 removed)"));
  for (const auto& [file, time] : times(folder_ / "out")) {
    const bool may_change = file.ends_with("thing 5.png") || file.ends_with(".prepare.json");
    EXPECT_TRUE(may_change || time == before.at(file)) << file;
  }
}

TEST_F(CliPrepare, CaptionsEditedByHandStay) {
  ASSERT_EQ(prepare("out").code, 0);
  const Path csv = folder_ / "out/metadata.csv";
  std::string table = read_file(csv);
  const std::string line = "thing 4.png,\"sks, no. 4\"";
  ASSERT_THAT(table, HasSubstr(line));
  table.replace(table.find(line), line.size(), "thing 4.png,\"my \"\"own\"\" words\"");
  write_file_atomic(csv, table);
  write_file_atomic(in() / "thing 6.txt", "a new caption");
  for (int run = 0; run < 2; ++run) {
    const Ran again = prepare("out");
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_THAT(again.out, HasSubstr("(1 edited by hand stay)"));
    EXPECT_THAT(read_file(csv),
                HasSubstr("thing 4.png,\"my \"\"own\"\" words\",edited,thing 4.png\n"));
    EXPECT_THAT(read_file(csv), HasSubstr("thing 6.png,\"sks, a new caption\""));
  }
  // Without its row the caption is made anew.
  table = read_file(csv);
  const auto begin = table.find("thing 4.png"), end = table.find('\n', begin);
  write_file_atomic(csv, table.erase(begin, end - begin + 1));
  ASSERT_EQ(prepare("out").code, 0);
  EXPECT_THAT(read_file(csv), HasSubstr(line));
}

TEST_F(CliPrepare, OtherFilesAreNotOverwritten) {
  write_file_atomic(folder_ / "pictures/thing 0.png", "mine");
  const Ran ran = prepare("pictures");
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "lora: " + (folder_ / "pictures").string() +
                         ": the folder holds other files (found thing 0.png, expected an empty "
                         "folder or the result of an earlier run); choose another --output\n");
  EXPECT_EQ(read_file(folder_ / "pictures/thing 0.png"), "mine");
  write_file_atomic(folder_ / "mine.csv", "file_name,text\nthing 0.png,mine\n");
  const Ran labelled = Program(label("mine.csv"), folder_).wait();
  EXPECT_EQ(labelled.code, 2);
  EXPECT_THAT(labelled.err, HasSubstr("exists and is not the result of an earlier `lora label`"));
}

TEST_F(CliPrepare, KilledLabellingGoesOn) {
  const Ran whole = Program(label("whole.csv"), folder_).wait();
  ASSERT_EQ(whole.code, 0) << whole.err;
  const std::string expected = read_file(folder_ / "whole.csv");
  EXPECT_THAT(expected, HasSubstr(",model,thing 1.png"));
  const Contents originals = contents(in());
  for (int i = 0; i < 3; ++i) {
    const std::string csv = join("killed_", i, ".csv");
    const Path state = folder_ / join(".killed_", i, ".state.json");
    Program program(label(csv), folder_);
    program.wait_until([&] { return fs::exists(state); });
    std::this_thread::sleep_for(std::chrono::milliseconds(100 * i));
    program.send(SIGKILL);
    program.wait();
    EXPECT_TRUE(!fs::exists(folder_ / csv) || read_file(folder_ / csv) == expected);
    ASSERT_EQ(Program(label(csv), folder_).wait().code, 0);
    EXPECT_EQ(read_file(folder_ / csv), expected);
    const auto before = times(folder_);
    ASSERT_EQ(Program(label(csv), folder_).wait().code, 0);
    EXPECT_EQ(times(folder_), before);
  }
  EXPECT_TRUE(differing(contents(in()), originals).empty());
}

// A table beside the pictures is the result, not a source of captions, in the next run.
TEST_F(CliPrepare, LabelsBesideThePictures) {
  const auto run = [&] {
    return Program({LORA_BINARY, "label", "--input", in().string(), "--output",
                    (in() / "metadata.csv").string(), "--prefix", "photo of "},
                   folder_)
        .wait();
  };
  ASSERT_EQ(run().code, 0);
  const std::string first = read_file(in() / "metadata.csv");
  EXPECT_THAT(first, HasSubstr("thing 2.png,photo of no. 2,thing 2.txt,thing 2.png\n"));
  EXPECT_THAT(first, HasSubstr("thing 3.png,photo of thing,file name,thing 3.png\n"));
  ASSERT_EQ(run().code, 0);
  EXPECT_EQ(read_file(in() / "metadata.csv"), first);
}

TEST_F(CliPrepare, TextsOfAllKindsBecomeOneFile) {
  write_file_atomic(folder_ / "texts/a.jsonl",
                    "{\"instruction\":\"Say hi\",\"output\":\"Hi!\"}\n"
                    "{\"instruction\":\"say  HI\",\"output\":\"hi!\"}\n"
                    "not json\n");
  write_file_atomic(folder_ / "texts/b.csv",
                    "prompt,completion\r\n\"What, then?\",\"Nothing.\"\r\nWho?,[INST] me\r\n");
  write_file_atomic(folder_ / "texts/c.txt", "Once upon a time.\n");
  const std::vector<std::string> command = {LORA_BINARY, "prepare",  "text",  "--input",
                                            "texts",     "--output", "clean", "--validation-split",
                                            "0.25",      "--json"};
  const Ran ran = Program(command, folder_).wait();
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json.at("read"), 6);
  EXPECT_EQ(json.at("left_out"), 2);
  EXPECT_EQ(json.at("train"), 3);
  EXPECT_EQ(json.at("validation"), 1);
  EXPECT_EQ(read_file(folder_ / "clean/prepare_report.tsv"),
            "place\tverdict\treason\n"
            "texts/a.jsonl:3\tbroken\tnot valid JSON; check quotes, commas and brackets there\n"
            "texts/a.jsonl:2\tduplicate\tequal to texts/a.jsonl:1\n"
            "texts/b.csv:3\tnote\tholds marks of a prompt format ([INST]); remove them, the "
            "template adds its own\n");
  const auto before = times(folder_ / "clean");
  ASSERT_EQ(Program(command, folder_).wait().code, 0);
  EXPECT_EQ(times(folder_ / "clean"), before);
}

TEST_F(CliPrepare, TakesKeysOfAConfiguration) {
  const std::string source = LORA_SOURCE_DIR;
  write_file_atomic(folder_ / "text.yaml",
                    "base_model: " + source + "/examples/llm/base\ntrain_data_dir: " + source +
                        "/examples/llm/support_v1/valid.jsonl\noutput_dir: ./output/x\n"
                        "validation_split: 0.2\nmax_seq_length: 32\n");
  const Ran text =
      Program({LORA_BINARY, "prepare", "--config", "text.yaml", "--output", "clean", "--json"},
              folder_)
          .wait();
  ASSERT_EQ(text.code, 0) << text.err;
  const auto json = nlohmann::json::parse(text.out);
  EXPECT_GT(json.at("validation"), 0);
  EXPECT_EQ(json.at("tokens").at("max_seq_length"), 32);
  EXPECT_GT(json.at("tokens").at("too_long"), 0);
  write_file_atomic(folder_ / "image.yaml",
                    "base_model: " + source +
                        "/examples/sd/base\ntrain_data_dir: " + in().string() +
                        "\noutput_dir: ./output/y\nresolution: 128\ntrigger_word: sks\n");
  const Ran images = Program({LORA_BINARY, "prepare", "--config", "image.yaml"}, folder_).wait();
  ASSERT_EQ(images.code, 0) << images.err;
  const CsvTable table = read_csv(folder_ / "in_prepared/metadata.csv");
  EXPECT_EQ(table.rows.size(), kPictures);
  EXPECT_EQ(read_image(folder_ / "in_prepared/thing 1.png").image.width, 128);
}

}  // namespace
}  // namespace lora::test
