// SPDX-License-Identifier: Apache-2.0
// `lora prepare text` killed in the middle and run again.
#include <gmock/gmock.h>

#include "tests/cli/contents.h"
#include "tests/cli/run.h"

namespace lora::test {
namespace {

constexpr int kRecords = 4000;

// Records of which every fourth comes twice.
std::string records(const std::string& answer) {
  std::string text;
  for (int i = 0; i < kRecords; ++i) {
    const int number = i % 4 == 3 ? i - 1 : i;
    text += join(R"({"prompt":"What is lamp )", number, R"( made of?","completion":")", answer, " ",
                 number, "\"}\n");
  }
  return text;
}

class CliPrepareText : public testing::Test {
 protected:
  CliPrepareText() : place_(workplace() / "prepare_text") {
    std::filesystem::remove_all(place_);
    write_file_atomic(place_ / "in.jsonl", records("brass"));
  }

  std::vector<std::string> command(const std::string& out) const {
    return {LORA_BINARY,           "prepare",  "text",        "--input",
            (place_ / "in.jsonl"), "--output", (place_ / out)};
  }
  void prepare(const std::string& out) const {
    const Ran ran = Program(command(out), place_).wait();
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  Contents in(const std::string& out) const { return contents(place_ / out); }

  Path place_;
};

TEST_F(CliPrepareText, AKilledUpdateLeavesOldFilesOrNewOnes) {
  prepare("old");
  write_file_atomic(place_ / "in.jsonl", records("glass"));
  prepare("new");
  const Contents before = in("old"), after = in("new");
  ASSERT_THAT(differing(before, after), testing::Contains("train.jsonl"));
  const std::vector<std::string> signs = {".prepare.json", "prepare_report.tsv", "train.jsonl"};
  for (const std::string& sign : signs) {
    for (const bool fresh : {true, false}) {
      const std::string out = "killed_" + sign + (fresh ? "_fresh" : "_update");
      if (!fresh) std::filesystem::copy(place_ / "old", place_ / out);
      const Contents start = in(out);
      Program program(command(out), place_);
      // As soon as that file is the new one; the others may be old.
      program.wait_until([&] {
        const Path file = place_ / out / sign;
        return std::filesystem::exists(file) &&
               (!start.contains(sign) || read_file(file) != start.at(sign));
      });
      program.send(SIGKILL);
      program.wait();
      for (const auto& [name, bytes] : in(out)) {
        if (!name.ends_with(".jsonl")) continue;
        const bool old = start.contains(name) && bytes == start.at(name);
        EXPECT_TRUE(old || bytes == after.at(name)) << out << ": half of " << name;
      }
      prepare(out);
      EXPECT_THAT(differing(in(out), after), testing::IsEmpty()) << out;
    }
  }
}

}  // namespace
}  // namespace lora::test
