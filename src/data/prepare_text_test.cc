// SPDX-License-Identifier: Apache-2.0
#include "data/prepare_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A folder of texts, and where they go.
class PrepareText : public testing::Test {
 protected:
  PrepareText() {
    fs::remove_all(folder_);
    options_.input = folder_ / "in";
  }
  ~PrepareText() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    write_file_atomic(folder_ / "in" / name, text);
  }
  Path out() const { return folder_ / "out"; }
  // The notes, a line each, without the folder's name.
  std::string notes(const PreparedText& prepared) const {
    std::string text;
    for (const TextNote& note : prepared.notes) {
      text += join(note.place, "|", note.verdict, "|", note.reason, "\n");
    }
    const std::string folder = (folder_ / "in").string() + "/";
    for (std::size_t at = 0; (at = text.find(folder)) != std::string::npos;) {
      text.erase(at, folder.size());
    }
    return text;
  }
  std::string message(const std::function<void()>& action) const {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::usage);
      return error.what();
    }
    return "no error";
  }

  Path folder_ = fs::temp_directory_path() / "lora_prepare_text";
  PrepareTextOptions options_;
};

std::string pair(const std::string& question, const std::string& answer) {
  return "{\"prompt\":\"" + question + "\",\"completion\":\"" + answer + "\"}\n";
}

const std::string kPassage =
    "Read the text. The lamp in the hall was lit before the ships came home, and nobody who lived "
    "by the harbour could say who had filled it with oil, for the keeper had left years ago and "
    "the door of the tower was locked from within. ";

}  // namespace

TEST_F(PrepareText, NamesEveryRecordThatIsLeftOut) {
  write("a.jsonl", pair("Say hi", "Hi!") + "nonsense\n" + "{\"prompt\":\"no answer\"}\n" +
                       pair("Who?", "") + pair(" say  HI ", "hi!") + "\xff\xfe\n[1]\n" +
                       pair("Who?", "Me."));
  write("b.json", "[{\"prompt\":\"Say hi\",\"completion\":\"Hi!\"}, 7]");
  write("c.csv", "prompt,completion\nfine,yes\n\"broken,quote\n");
  write("d.json", "{\"data\": [");
  write("e.txt", "x\xe9");
  const PreparedText prepared = prepare_text(options_);
  EXPECT_EQ(notes(prepared),
            "a.jsonl:2|broken|not valid JSON; check quotes, commas and brackets there\n"
            "a.jsonl:3|broken|no known format fits (found the fields prompt; expected one of "
            "alpaca: instruction, output (input, system, history); sharegpt: conversations of "
            "from, value; messages: messages of role, content; prompt_completion: prompt, "
            "completion; tokens: input_ids (labels); text: text); name the fields with `columns`\n"
            "a.jsonl:4|broken|there is no answer, or it is empty\n"
            "a.jsonl:6|broken|not valid UTF-8 (byte 0xFF); save the file as UTF-8\n"
            "a.jsonl:7|broken|not a record (found array, expected fields with names)\n"
            "b.json: record 2|broken|not a record (found number, expected fields with names)\n"
            "c.csv:3|broken|a quote is not closed or stands inside a cell; write \"...\" around "
            "the whole cell and \"\" for a quote in it\n"
            "d.json:1|broken|not valid JSON; check quotes, commas and brackets there\n"
            "e.txt:1|broken|not valid UTF-8 (byte 0xE9); save the file as UTF-8\n"
            "a.jsonl:5|duplicate|equal to a.jsonl:1\n"
            "b.json: record 1|duplicate|equal to a.jsonl:1\n");
  EXPECT_EQ(prepared.train.records.size(), 2U);
  EXPECT_EQ(prepared.left_out, 11U);
}

TEST_F(PrepareText, WritesWhatWasRead) {
  write("a.jsonl",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\","
        "\"content\":\"Two\\r\\nlines  \"},{\"role\":\"assistant\",\"content\":\"  Yes.\\n\"}]}\n"
        "{\"text\":\"caf\xc3\xa9\\n\"}\n{\"input_ids\":[1,2],\"labels\":[-100,2]}\n");
  const PreparedText prepared = prepare_text(options_);
  EXPECT_EQ(write_prepared_text(prepared, out()), 2U);
  EXPECT_EQ(read_file(out() / "train.jsonl"),
            "{\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\","
            "\"content\":\"Two\\nlines\"},{\"role\":\"assistant\",\"content\":\"  Yes.\"}]}\n"
            "{\"text\":\"caf\xc3\xa9\"}\n{\"input_ids\":[1,2],\"labels\":[-100,2]}\n");
  EXPECT_EQ(write_prepared_text(prepared, out()), 0U);
  // What was written is read the same again.
  PrepareTextOptions again = options_;
  again.input = out() / "train.jsonl";
  EXPECT_EQ(prepare_text(again).train.records.size(), 3U);
}

TEST_F(PrepareText, KeepsWhatTurnsHoldBesideTheirText) {
  const std::string call =
      R"("tool_calls":[{"id":"c1","function":{"name":"tide","arguments":{"port":"Wick"}}}])";
  write("a.jsonl",
        R"({"messages":[{"role":"user","content":"A?"},{"role":"assistant","content":null,)" +
            call + R"(},{"role":"tool","content":"14:05","tool_call_id":"c1"},)" +
            R"({"role":"assistant","content":"No.","train":false},)" +
            R"({"role":"user","content":"B?"},{"role":"assistant","content":"b",)" +
            R"("reasoning_content":"so"}],"tools":[{"name":)" +
            R"("tide"}],"chat_template_kwargs":{"mood":"calm"}})" + "\n" +
            R"({"conversations":[{"from":"human","value":"C?"},{"from":"function_call","value":)" +
            R"("{\"name\": \"depth\", \"arguments\": {}}"},{"from":"gpt","value":"c"}]})" + "\n" +
            R"({"messages":[{"role":"user","content":"D?"},{"role":"assistant",)" + call + "}]}\n");
  const PreparedText prepared = prepare_text(options_);
  write_prepared_text(prepared, out());
  PrepareTextOptions again = options_;
  again.input = out() / "train.jsonl";
  const PreparedText reread = prepare_text(again);
  ASSERT_EQ(prepared.train.records.size(), 3U);
  ASSERT_EQ(reread.train.records.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(reread.train.records[i].sha256, prepared.train.records[i].sha256) << i;
  }
}

TEST_F(PrepareText, NearDuplicatesNeedAlikeAnswers) {
  write("a.jsonl", pair(kPassage + "Who lit it?", "The sailors did.") +
                       pair(kPassage + "Who  lit it, then?", "the sailors did.") +
                       pair(kPassage + "Where was it?", "In the hall.") +
                       pair("Tell me.", kPassage) + pair("What then?", kPassage));
  const PreparedText prepared = prepare_text(options_);
  EXPECT_THAT(notes(prepared), testing::MatchesRegex("a.jsonl:2.near-duplicate.9[0-9] % like "
                                                     "a.jsonl:1\n"));
  EXPECT_EQ(prepared.train.records.size(), 4U);
  options_.similarity = 1;
  EXPECT_EQ(prepare_text(options_).train.records.size(), 5U);
  options_.similarity = 0.8;
  options_.keep_duplicates = true;
  const PreparedText all = prepare_text(options_);
  EXPECT_EQ(all.train.records.size(), 5U);
  EXPECT_EQ(all.notes.at(0).verdict, "note");
}

// A long system message that all records share makes none of them a duplicate.
TEST_F(PrepareText, ASharedSystemMessageIsLeftAside) {
  const auto record = [](const std::string& system, const std::string& question) {
    return "{\"system\":\"" + system + "\",\"instruction\":\"" + question +
           "\",\"output\":\"Yes, of course.\"}\n";
  };
  write("a.jsonl", record(kPassage, "Is it day?") + record(kPassage, "Is it night?") +
                       record("Be brief.", "Is it day?"));
  EXPECT_EQ(prepare_text(options_).train.records.size(), 3U);
}

TEST_F(PrepareText, TheSplitStaysWhenRecordsAreAdded) {
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += pair(join("Question ", i), join("Answer ", i));
  write("a.jsonl", lines);
  options_.validation_split = 0.25;
  const auto questions = [](const TextDataset& dataset) {
    std::vector<std::string> texts;
    for (const TextRecord& record : dataset.records) texts.push_back(record.messages[0].content);
    return texts;
  };
  const PreparedText first = prepare_text(options_);
  EXPECT_EQ(first.train.records.size(), 30U);
  EXPECT_EQ(first.validation.records.size(), 10U);
  EXPECT_EQ(questions(prepare_text(options_).validation), questions(first.validation));
  for (int i = 40; i < 44; ++i) lines += pair(join("Question ", i), join("Answer ", i));
  write("a.jsonl", lines);
  std::size_t stayed = 0;
  const auto now = questions(prepare_text(options_).validation);
  for (const std::string& question : questions(first.validation)) {
    stayed += std::find(now.begin(), now.end(), question) != now.end();
  }
  EXPECT_EQ(now.size(), 11U);
  EXPECT_GE(stayed, 8U);
  options_.seed = 7;
  EXPECT_NE(questions(prepare_text(options_).validation), now);
}

TEST_F(PrepareText, OneRecordCannotBeDivided) {
  write("a.jsonl", pair("Say hi", "Hi!"));
  options_.validation_split = 0.25;
  EXPECT_EQ(message([&] { prepare_text(options_); }),
            "--validation-split: too few samples to keep some apart (found 1, expected at least "
            "2); set it to 0, or name a file or folder in validation_data");
}

TEST_F(PrepareText, HandEditedFilesAreNotOverwritten) {
  write("a.jsonl", pair("Say hi", "Hi!") + pair("Who?", "Me."));
  options_.validation_split = 0.5;
  write_prepared_text(prepare_text(options_), out());
  EXPECT_TRUE(fs::exists(out() / "validation.jsonl"));
  write_file_atomic(out() / "train.jsonl", pair("mine", "own"));
  options_.validation_split = 0;
  EXPECT_EQ(message([&] { write_prepared_text(prepare_text(options_), out()); }),
            (out() / "train.jsonl").string() +
                ": was changed by hand since it was prepared, and the texts have changed too; move "
                "it away, or choose another --output");
  fs::remove(out() / "train.jsonl");
  write_prepared_text(prepare_text(options_), out());
  EXPECT_FALSE(fs::exists(out() / "validation.jsonl")) << "the share is zero now";
  const Path other = folder_ / "in";
  EXPECT_THAT(message([&] { write_prepared_text(prepare_text(options_), other); }),
              HasSubstr("the folder holds other files (found a.jsonl"));
}

TEST_F(PrepareText, SaysWhatIsMissing) {
  EXPECT_EQ(message([&] { prepare_text(options_); }),
            options_.input.string() + ": no such file or folder; check the path");
  write("a.jsonl", "nonsense\n");
  EXPECT_EQ(message([&] { prepare_text(options_); }),
            options_.input.string() +
                ": nothing to train on (0 records read, all left out; the first: " +
                (options_.input / "a.jsonl").string() +
                ":1: not valid JSON; check quotes, commas and brackets there)");
}

TEST(Spread, TakesOrderStatistics) {
  const Spread spread = spread_of({5, 1, 3, 2, 4});
  EXPECT_EQ(spread.shortest, 1);
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.p95, 4);
  EXPECT_EQ(spread.longest, 5);
}

}  // namespace lora
