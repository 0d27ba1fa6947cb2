// SPDX-License-Identifier: Apache-2.0
// Which part of a rendering is learned, and what a template leaves out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/prompt_template.h"
#include "tokenizers/fake_tokenizer.h"

namespace lora {
namespace {

using test::FakeTokenizer;
using test::trained_text;
using Messages = std::vector<Message>;

Encoded encode(const std::string& chat_template, const Messages& messages,
               const Fields& variables = {}) {
  const PromptTemplate prompt("auto", std::make_shared<FakeTokenizer>(chat_template));
  return prompt.encode(messages, variables);
}

std::string learned(const std::string& chat_template, const Messages& messages) {
  std::string out;
  for (const TextSample& sample : encode(chat_template, messages).samples) {
    out += trained_text(FakeTokenizer(), sample.ids, sample.labels) + "|";
  }
  return out;
}

// The template of a model that thinks: an opened answer begins with "<think>", a finished one has
// lost its thought.
std::string thinking(const std::string& opening) {
  return "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n"
         "{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% else %}<|im_start|>user\n"
         "{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}"
         "{{ '<|im_start|>assistant\n" + opening + "' }}{% endif %}";
}

TEST(PromptMarks, AnOpenedThoughtIsNotLearnedWithTheHeader) {
  const Messages one = {{"user", "Depth?"}, {"assistant", "230 m."}};
  const Messages three = {{"user", "A?"}, {"assistant", "a"}, {"user", "B?"},
                          {"assistant", "b"}, {"user", "C?"}, {"assistant", "c"}};
  EXPECT_EQ(learned(thinking("<think>\\n"), one), "230 m.<|im_end|>|");
  EXPECT_EQ(learned(thinking("<think>\\n"), three), "a<|im_end|>b<|im_end|>c<|im_end|>|");
  EXPECT_EQ(learned(thinking(""), three), "a<|im_end|>b<|im_end|>c<|im_end|>|");
  // Answers that begin like the opening, or like the header.
  for (const char* answer : {"<b>bold</b>", "<think", "a", "assistant", "n", "<"}) {
    EXPECT_EQ(learned(thinking("<think>\\n"), {{"user", "?"}, {"assistant", answer}}),
              std::string(answer) + "<|im_end|>|");
  }
}

TEST(PromptMarks, ThoughtsOfThreeTurnsAreLearnedWhereTheTemplateKeepsTheLast) {
  // Qwen3's way: only the last answer keeps its thought.
  const std::string source =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n"
      "{{ m.content if m.role == 'user' or loop.last else m.content.split('</think>')[-1] }}"
      "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const Messages turns = {{"user", "A?"}, {"assistant", "<think>x</think>a"},
                          {"user", "B?"}, {"assistant", "<think>y</think>b"},
                          {"user", "C?"}, {"assistant", "<think>z</think>c"}};
  EXPECT_EQ(learned(source, turns),
            "<think>x</think>a<|im_end|>|<think>y</think>b<|im_end|>|<think>z</think>c<|im_end|>|");
  EXPECT_EQ(encode(source, turns).unwritten, "");
}

TEST(PromptMarks, AGenerationBlockIsWhatIsLearned) {
  const Messages turns = {
      {"user", "Depth?"}, {"assistant", "230 m."}, {"user", "Sure?"}, {"assistant", "Yes."}};
  const auto block = [](const std::string& inside, const std::string& behind) {
    return "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
           "{% generation %}{{ m.content }}" + inside + "{% endgeneration %}" + behind +
           "{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}";
  };
  EXPECT_EQ(learned(block("{{ '<|im_end|>\\n' }}", ""), turns),
            "230 m.<|im_end|>\nYes.<|im_end|>\n|");
  EXPECT_EQ(learned(block("<|im_end|>", "{{ '\\n' }}"), turns), "230 m.<|im_end|>Yes.<|im_end|>|");
  EXPECT_EQ(learned(block("", "{{ '<|im_end|>\\n' }}"), turns), "230 m.<|im_end|>Yes.<|im_end|>|");
  Messages some = turns;
  some[1].trained = false;
  EXPECT_EQ(learned(block("{{ '<|im_end|>\\n' }}", ""), some), "Yes.<|im_end|>\n|");
}

TEST(PromptMarks, BlocksThatCannotBeToldApartAreRefused) {
  const std::string source =
      "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}";
  Messages turns = {{"user", "A?"}, {"assistant", "a"}, {"user", "B?"}, {"assistant", "b"}};
  turns[1].trained = false;
  try {
    encode(source, turns);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "template 'of the tokenizer': which generation block belongs to which answer is "
                 "not known (found 4 blocks, expected 2), and some answers are not to be learned; "
                 "use another prompt_template");
  }
}

TEST(PromptMarks, WhatATemplateDoesNotWriteIsNamed) {
  const jinja::Value tools = jinja::List{jinja::make_dict({{"name", "tide"}})};
  const std::string plain = "{% for m in messages %}{{ m.content }}</s>{% endfor %}";
  const Messages one = {{"user", "A?"}, {"assistant", "a"}};
  const struct {
    std::string source;
    Messages messages;
    Fields variables;
    const char* unwritten;
  } cases[] = {
      {plain, one, {}, ""},
      {plain, one, {{"tools", tools}}, "the tools"},
      {"{{ tools }}" + plain, one, {{"tools", tools}}, ""},
      {thinking(""), {{"user", "A?"}, {"assistant", "<think>so</think>a"}}, {},
       "the content of turn 2 (assistant)"},
      {plain, {{"user", "A?"}, {"assistant", "a", {{"reasoning_content", "so"}}}}, {},
       "the reasoning_content of turn 2 (assistant)"},
      {plain, {{"user", "A?"}, {"assistant", "a", {{"thinking", "so"}}}}, {},
       "the thinking of turn 2 (assistant)"},
      {plain,
       {{"user", "A?"}, {"assistant", "a", {{"tool_calls", tools}}}},
       {},
       "the tool_calls of turn 2 (assistant)"},
      {"{% for m in messages %}{% if m.role != 'tool' %}{{ m.content }}</s>{% endif %}"
       "{% endfor %}",
       {{"user", "A?"}, {"tool", "14:05"}, {"assistant", "a"}}, {},
       "the content of turn 2 (tool)"},
      // Other white space and JSON are no loss.
      {"{% for m in messages %}{{ m.content | trim }}</s>{% endfor %}",
       {{"user", " A? \n"}, {"assistant", "a"}}, {}, ""},
      {"{% for m in messages %}{{ m.content | tojson }}</s>{% endfor %}",
       {{"user", "say \"x\"\n"}, {"assistant", "a"}}, {}, ""},
      {"{% for m in messages %}{{ m.content.split('\n\n') | join('\n') }}</s>{% endfor %}",
       {{"user", "A?"}, {"assistant", "a\n\nb"}}, {}, ""},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(encode(c.source, c.messages, c.variables).unwritten, c.unwritten) << c.source;
  }
  const Messages call = {{"user", "A?"}, {"assistant", "", {{"tool_calls", tools}}}};
  try {
    encode(plain, call);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "the template 'of the tokenizer' does not write the tool_calls of turn 2, which "
                 "is nothing else; use a prompt_template with calls");
  }
}

TEST(TemplateDate, IsFixedAndNoPartOfTheFingerprint) {
  const std::string clock = "{{ strftime_now('%d %b %Y, %H:%M:%S') }}";
  const auto make = [&](const std::string& date) {
    return PromptTemplate("auto", std::make_shared<FakeTokenizer>(clock), date);
  };
  const Messages one = {{"user", "A?"}};
  EXPECT_EQ(make("2026-03-01").render(one, true), "01 Mar 2026, 00:00:00");
  EXPECT_EQ(make("2024-02-29 13:05:09").render(one, true), "29 Feb 2024, 13:05:09");
  EXPECT_EQ(make("2024-02-29 13:05:09").date(), "2024-02-29 13:05:09");
  EXPECT_EQ(make("2026-03-01").fingerprint(), make("2024-02-29").fingerprint());
  EXPECT_EQ(make(make("").date()).date(), make("").date());
  EXPECT_EQ(PromptTemplate("chatml", std::make_shared<FakeTokenizer>()).date(), "");
  for (const char* date : {"yesterday", "2026-02-30", "2026-3", "2026-03-01 25:00:00",
                           "2026-03-01T10:00:00", "2026-03-01 "}) {
    try {
      make(date);
      FAIL() << date;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()),
                std::string("template_date '") + date +
                    "': not a date (expected 2026-01-31 or 2026-01-31 12:00:00); write it so");
    }
  }
}

}  // namespace
}  // namespace lora
