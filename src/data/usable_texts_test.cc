// SPDX-License-Identifier: Apache-2.0
#include "data/usable_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "data/text_data_fixture.h"
#include "tokenizers/fake_tokenizer.h"

namespace lora {
namespace {

using test::TextData;
using testing::ElementsAre;

class UsableData : public TextData {
 public:
  UsableTexts read(const Path& path, double bad_records = 0.5,
                   const std::string& prompt_template = "chatml") const {
    const PromptTemplate prompt(prompt_template, std::make_shared<test::FakeTokenizer>());
    return read_usable_texts({.path = path, .bad_records = bad_records}, prompt, {});
  }
  std::vector<std::string> notes(const UsableTexts& texts) const {
    std::vector<std::string> out;
    for (std::string note : texts.notes) {
      for (std::size_t at; (at = note.find(folder_.string())) != std::string::npos;) {
        note.replace(at, folder_.string().size(), "DIR");
      }
      out.push_back(std::move(note));
    }
    return out;
  }
};

constexpr const char* kGood = R"({"prompt": "A?", "completion": "a"})";

TEST_F(UsableData, OneBadRecordIsLeftOutAndNamed) {
  const struct {
    const char *bad, *reason;
  } cases[] = {
      {R"({"messages": []})", "the list of messages is empty or not a list"},
      {R"({"conversations": []})", "the list of messages is empty or not a list"},
      {R"({"question": "A?"})",
       "no known format fits (found the fields question; expected one of alpaca: instruction, "
       "output (input, system, history); sharegpt: conversations of from, value; messages: "
       "messages of role, content; prompt_completion: prompt, completion; tokens: input_ids "
       "(labels); text: text); name the fields with `columns`"},
      {R"({"conversations": [{"from": "human", "value": "A?"}, {"from": "gpt", "value": null}]})",
       "the content of a message is not a text (found null)"},
      {R"({"prompt": "A?", "completion": ""})", "there is no answer, or it is empty"},
      {R"({"prompt": "A?",)", "not valid JSON; check quotes, commas and brackets there"},
      {"[1]", "not a record (found array, expected fields with names)"},
      {R"({"input_ids": [9, 99999]})", "id 99999 is outside the vocabulary of 264"},
  };
  for (const auto& c : cases) {
    const Path file = write("a.jsonl", std::string(kGood) + "\n" + c.bad + "\n");
    const UsableTexts texts = read(file);
    EXPECT_EQ(texts.samples.samples.size(), 1U) << c.bad;
    EXPECT_EQ(texts.left_out, 1) << c.bad;
    EXPECT_THAT(notes(texts),
                ElementsAre(std::string("DIR/a.jsonl:2: left out: ") + c.reason,
                            "data: 1 of 2 records are left out as unusable"));
    EXPECT_EQ(error_of([&] { read(file, 0); }), std::string("DIR/a.jsonl:2: ") + c.reason);
  }
}

TEST_F(UsableData, MoreThanTheShareStops) {
  std::string text;
  for (int i = 0; i < 4; ++i) text += std::string(kGood) + "\n";
  for (int i = 0; i < 6; ++i) text += "{\"prompt\": \"A?\", \"completion\": [1]}\n";
  const Path file = write("a.jsonl", text);
  EXPECT_EQ(error_of([&] { read(file); }),
            "DIR/a.jsonl: 6 of 10 records cannot be used (found 60 %, expected at most 50 %); the "
            "first: DIR/a.jsonl:5: a message lacks 'role' or 'content'; mend them, or raise "
            "bad_records");
  const UsableTexts texts = read(file, 0.6);
  EXPECT_EQ(texts.left_out, 6);
  EXPECT_EQ(texts.notes.size(), 4U);  // three, and how many
  EXPECT_EQ(texts.notes.back(), "data: 6 of 10 records are left out as unusable");
}

TEST_F(UsableData, WhereAllAreBadTheFirstIsTold) {
  EXPECT_EQ(error_of([&] { read(write("a.jsonl", "{\"prompt\": 1\n{\"prompt\": 1\n"), 1); }),
            "DIR/a.jsonl:1: not valid JSON; check quotes, commas and brackets there");
  const std::string user = R"({"messages": [{"role": "user", "content": "A?"}, )"
                           R"({"role": "user", "content": "B?"}, )"
                           R"({"role": "assistant", "content": "a"}]})";
  EXPECT_EQ(error_of([&] { read(write("b.jsonl", user), 1, "llama2"); }),
            "DIR/b.jsonl:1: template 'llama2', line 8: the template does not accept this "
            "conversation: roles must alternate: user, assistant, user, ...");
}

TEST_F(UsableData, AWholeFileThatCannotBeReadStops) {
  write("a.jsonl", kGood);
  write("b.json", "[{\"prompt\": 1,");
  EXPECT_EQ(error_of([&] { read(folder_, 1); }),
            "DIR/b.json:1: not valid JSON; check quotes, commas and brackets there");
  write("b.json", "[]");
  write("c.jsonl.gz", "no gzip");
  EXPECT_EQ(error_of([&] { read(folder_, 1); }),
            "DIR/c.jsonl.gz: not a whole gzip file; make it anew from the original");
}

TEST_F(UsableData, CompressedFilesAreReadAsTheOthers) {
  const Path file = folder_ / "a.jsonl.gz";
  gzFile out = gzopen(file.c_str(), "wb");
  const std::string text = std::string(kGood) + "\n\n" + kGood + "\n";
  gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
  gzclose(out);
  const UsableTexts texts = read(folder_);
  ASSERT_EQ(texts.data.records.size(), 2U);
  EXPECT_EQ(texts.data.records[1].at.text(), file.string() + ":3");
}

TEST_F(UsableData, AGreetingAndWhatTheTemplateDropsAreSaid) {
  const Path greeting = write(
      "a.jsonl", R"({"messages": [{"role": "assistant", "content": "Hi"}, )"
                 R"({"role": "user", "content": "A?"}, {"role": "assistant", "content": "a"}]})");
  EXPECT_THAT(notes(read(greeting)),
              ElementsAre("DIR/a.jsonl:1: begins with an answer, which is shown and not learned"));
  const Path thought = write(
      "b.jsonl", R"({"messages": [{"role": "user", "content": "A?"}, )"
                 R"({"role": "assistant", "content": "a", "reasoning_content": "so"}]})");
  EXPECT_THAT(notes(read(thought)),
              ElementsAre("warning: 1 of 1 records are not rendered whole, what is missing is not "
                          "learned (the first: DIR/b.jsonl:1: the reasoning_content of turn 2 "
                          "(assistant) is not written by the template 'chatml'); use a "
                          "prompt_template that writes it"));
}

}  // namespace
}  // namespace lora
