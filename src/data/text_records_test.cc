// SPDX-License-Identifier: Apache-2.0
// Turns with more than a role and a text: calls, thoughts, what is learned of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/text_data_fixture.h"
#include "data/text_dataset.h"
#include "tokenizers/fake_tokenizer.h"

namespace lora {
namespace {

using test::FakeTokenizer;
using test::TextData;
using test::trained_text;

constexpr const char* kChatml =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }} "
    "{{ c.function.arguments | tojson }}</call>{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

// The trained texts of all samples of a record, in one line.
std::string learned(const TextRecord& record, const std::string& chat_template = kChatml,
                    Learned labels = {}) {
  const PromptTemplate prompt("auto", std::make_shared<FakeTokenizer>(chat_template));
  std::string out;
  for (const TextSample& sample :
       prompt.encode(record.messages, record.variables, labels).samples) {
    out += trained_text(prompt.tokenizer(), sample.ids, sample.labels) + "|";
  }
  return out;
}

constexpr const char* kCall =
    R"("tool_calls": [{"id": "c1", "type": "function", "function": )"
    R"({"name": "tide", "arguments": {"port": "Wick"}}}])";

std::string two_turns(const std::string& first_answer) {
  return R"({"messages": [{"role": "user", "content": "A?"}, )" + first_answer +
         R"(, {"role": "user", "content": "B?"}, {"role": "assistant", "content": "b"}]})";
}

TEST_F(TextData, WhatIsLearnedOfATurn) {
  const std::string call = R"({"role": "assistant", )";
  const struct {
    std::string record, learned;
  } cases[] = {
      {two_turns(R"({"role": "assistant", "content": "a"})"), "a<|im_end|>b<|im_end|>|"},
      {two_turns(R"({"role": "assistant", "content": "a", "weight": 0})"), "b<|im_end|>|"},
      {two_turns(R"({"role": "assistant", "content": "a", "weight": 1})"),
       "a<|im_end|>b<|im_end|>|"},
      {two_turns(R"({"role": "assistant", "content": "a", "train": false})"), "b<|im_end|>|"},
      {two_turns(R"({"role": "assistant", "content": "a", "training": false})"), "b<|im_end|>|"},
      {two_turns(R"({"role": "assistant", "content": "a", "loss": false})"), "b<|im_end|>|"},
      {two_turns(R"({"role": "assistant", "content": "a", "weight": null})"),
       "a<|im_end|>b<|im_end|>|"},
      {two_turns(R"({"role": "assistant", "content": "a", "reasoning_content": "so"})"),
       "<think>so</think>a<|im_end|>b<|im_end|>|"},
      {two_turns(call + "\"content\": \"\", " + kCall + "}"),
       "<call>tide {\"port\": \"Wick\"}</call><|im_end|>b<|im_end|>|"},
      {two_turns(call + "\"content\": null, " + kCall + "}"),
       "<call>tide {\"port\": \"Wick\"}</call><|im_end|>b<|im_end|>|"},
      {two_turns(call + kCall + "}"),
       "<call>tide {\"port\": \"Wick\"}</call><|im_end|>b<|im_end|>|"},
      {two_turns(call + "\"content\": \"See.\", " + kCall + "}"),
       "See.<call>tide {\"port\": \"Wick\"}</call><|im_end|>b<|im_end|>|"},
      // OpenAI writes the arguments as a text.
      {two_turns(R"({"role": "assistant", "content": "", "tool_calls": [{"function": )"
                 R"({"name": "tide", "arguments": "{\"port\": \"Wick\"}"}}]})"),
       "<call>tide {\"port\": \"Wick\"}</call><|im_end|>b<|im_end|>|"},
      // LLaMA-Factory's roles.
      {R"({"conversations": [{"from": "human", "value": "A?"}, {"from": "function_call", )"
       R"("value": "{\"name\": \"tide\", \"arguments\": {\"port\": \"Wick\"}}"}, )"
       R"({"from": "observation", "value": "14:05"}, {"from": "gpt", "value": "b"}]})",
       "<call>tide {\"port\": \"Wick\"}</call><|im_end|>b<|im_end|>|"},
      {R"({"conversations": [{"from": "human", "value": "A?"}, )"
       R"({"from": "gpt", "value": "a", "weight": 0}, {"from": "human", "value": "B?"}, )"
       R"({"from": "gpt", "value": "b"}]})",
       "b<|im_end|>|"},
      // A greeting is no answer.
      {R"({"conversations": [{"from": "gpt", "value": "Hello!"}, {"from": "human", "value": "B?"},)"
       R"( {"from": "gpt", "value": "b"}]})",
       "b<|im_end|>|"},
      // TRL's conversational prompt and completion.
      {R"({"prompt": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "a"}, )"
       R"({"role": "user", "content": "B?"}], "completion": [{"role": "assistant", )"
       R"("content": "b"}]})",
       "b<|im_end|>|"},
      {R"({"prompt": [{"role": "user", "content": "A?"}], "completion": "a"})", "a<|im_end|>|"},
      {R"({"prompt": "A?", "completion": [{"role": "assistant", "content": "a"}]})",
       "a<|im_end|>|"},
  };
  int row = 0;
  for (const auto& c : cases) {
    const Path file = write("learned" + std::to_string(++row) + ".jsonl", c.record + "\n");
    EXPECT_EQ(learned(load_text_dataset(file).records[0]), c.learned) << c.record;
  }
}

TEST_F(TextData, AListOfTurnsIsTheSameAsPromptAndCompletion) {
  const TextDataset pair = load_text_dataset(
      write("a.jsonl", R"({"prompt": [{"role": "system", "content": "S"}, {"role": "user", )"
                       R"("content": "A?"}], "completion": [{"role": "assistant", )"
                       R"("content": "a"}]})"));
  const TextDataset list = load_text_dataset(
      write("b.jsonl", R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", )"
                       R"("content": "A?"}, {"role": "assistant", "content": "a"}]})"));
  EXPECT_EQ(pair.records[0].sha256, list.records[0].sha256);
}

TEST_F(TextData, TheLastAnswerAlone) {
  const TextRecord record =
      load_text_dataset(write("a.jsonl", two_turns(R"({"role": "assistant", "content": "a"})")))
          .records[0];
  EXPECT_EQ(learned(record, kChatml, {.last_answer = true}), "b<|im_end|>|");
  // Also where earlier turns are rewritten, and by blocks.
  EXPECT_EQ(learned(record,
                    "{% for m in messages %}{% if m.role != 'assistant' or loop.last %}{{ m.role }}"
                    "\n{{ m.content }}</s>\n{% endif %}{% endfor %}"
                    "{% if add_generation_prompt %}assistant\n{% endif %}",
                    {.last_answer = true}),
            "b</s>|");
  EXPECT_EQ(learned(record,
                    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
                    "{{ m.content }}</s>{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
                    "{% endfor %}",
                    {.last_answer = true}),
            "b</s>|");
}

TEST_F(TextData, AnExcludedAnswerIsNotLearnedWithThePrompt) {
  const TextRecord record =
      load_text_dataset(
          write("a.jsonl", two_turns(R"({"role": "assistant", "content": "a", "weight": 0})")))
          .records[0];
  EXPECT_EQ(learned(record, kChatml, {.prompt = true}),
            "user\nA?<|im_end|>\n<|im_start|>assistant\n\n<|im_start|>user\nB?<|im_end|>\n"
            "<|im_start|>assistant\nb<|im_end|>\n|");
}

TEST_F(TextData, ToolsAndSettingsReachTheTemplate) {
  const char* tools = R"([{"type": "function", "function": {"name": "tide"}}])";
  const std::string turns =
      R"("messages": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "a"}])";
  const std::string shows =
      "{{ tools | tojson if tools else 'none' }} {{ mood }}:"
      "{% for m in messages %}{{ m.content }}</s>{% endfor %}";
  const struct {
    std::string more, text;
  } cases[] = {
      {"", "none :A?</s>a</s>"},
      {R"(, "tools": [])", "none :A?</s>a</s>"},
      {R"(, "tools": null)", "none :A?</s>a</s>"},
      {R"(, "tools": "")", "none :A?</s>a</s>"},
      {std::string(R"(, "tools": )") + tools, std::string(tools) + " :A?</s>a</s>"},
      {R"(, "tools": "[{\"type\": \"function\", \"function\": {\"name\": \"tide\"}}]")",
       std::string(tools) + " :A?</s>a</s>"},
      {R"(, "chat_template_kwargs": {"mood": "calm"})", "none calm:A?</s>a</s>"},
  };
  const PromptTemplate prompt("auto", std::make_shared<FakeTokenizer>(shows));
  for (const auto& c : cases) {
    const TextRecord record =
        load_text_dataset(write("a.jsonl", "{" + turns + c.more + "}")).records[0];
    EXPECT_EQ(prompt.render(record.messages, false, record.variables), c.text) << c.more;
  }
}

TEST_F(TextData, ACallIsWrittenInTheFormThatTheTemplateTakes) {
  const char* joins =  // a text, and beside no content
      "{% for m in messages %}{% if m.content is none %}{{ m.tool_calls[0].function.name + ' ' + "
      "m.tool_calls[0].function.arguments }}{% else %}{{ m.content }}{% endif %}</s>{% endfor %}";
  const std::string factory =
      R"({"conversations": [{"from": "human", "value": "A?"}, {"from": "function_call", )"
      R"("value": "{\"name\": \"tide\", \"arguments\": {\"port\": \"Wick\"}}"}]})";
  const TextRecord record = load_text_dataset(write("a.jsonl", factory)).records[0];
  EXPECT_EQ(learned(record, joins), "tide {\"port\": \"Wick\"}</s>|");
  // A template without calls gets the text.
  EXPECT_EQ(learned(record, "{% for m in messages %}{{ m.content }}</s>{% endfor %}"),
            "{\"name\": \"tide\", \"arguments\": {\"port\": \"Wick\"}}</s>|");
}

TEST_F(TextData, BadTurnsAndTheirMessages) {
  const std::string user = R"({"messages": [{"role": "user", "content": "A?"}, )";
  const struct {
    std::string record;
    const char* message;
  } cases[] = {
      {user + R"({"role": "assistant", "content": "a", "weight": 0.5}]})",
       "DIR/a.jsonl:1: field 'weight' of a message is neither learned nor not (found 0.5, expected "
       "0 or 1, false or true)"},
      {user + R"({"role": "user", "content": "B?", "train": true}]})",
       "DIR/a.jsonl:1: field 'train' asks to learn a turn of 'user'; only answers are learned "
       "(train_on_prompt learns all)"},
      {user + R"({"role": "assistant", "content": null}]})",
       "DIR/a.jsonl:1: the content of a message is not a text (found null)"},
      {user + R"({"role": "assistant", "content": "", "tool_calls": [1]}]})",
       "DIR/a.jsonl:1: field 'tool_calls' holds no call (found number)"},
      {user + R"({"role": "assistant", "content": "", "tool_calls": [{"function": {}}]}]})",
       "DIR/a.jsonl:1: field 'tool_calls' has a call without the name of a function"},
      {user + R"({"role": "assistant", "content": "a"}], "tools": 3})",
       "DIR/a.jsonl:1: field 'tools' is not a list of tools, nor the JSON text of one (found "
       "number)"},
      {user + R"({"role": "assistant", "content": "a"}], "tools": "tide"})",
       "DIR/a.jsonl:1: field 'tools' is not a list of tools, nor the JSON text of one (found "
       "string)"},
      {user + R"({"role": "assistant", "content": "a"}], "chat_template_kwargs": [1]})",
       "DIR/a.jsonl:1: field 'chat_template_kwargs' is not a mapping"},
      {R"({"prompt": [], "completion": "a"})",
       "DIR/a.jsonl:1: the list of messages is empty or not a list"},
      {R"({"messages": [{"role": "assistant", "content": "Hello!"}]})",
       "DIR/a.jsonl: nothing to train on (1 records read, all left out; the first: DIR/a.jsonl:1: "
       "left out: there is no answer, or it is empty)"},
  };
  for (const auto& c : cases) {
    const Path file = write("a.jsonl", c.record + "\n");
    EXPECT_EQ(error_of([&] { load_text_dataset(file); }), c.message);
  }
}

TEST_F(TextData, HashesTellTurnsApart) {
  const std::string plain = two_turns(R"({"role": "assistant", "content": "a"})");
  const std::string others[] = {
      two_turns(R"({"role": "assistant", "content": "a", "weight": 0})"),
      two_turns(R"({"role": "assistant", "content": "a", "reasoning_content": "so"})"),
      two_turns(std::string(R"({"role": "assistant", "content": "a", )") + kCall + "}"),
      plain.substr(0, plain.size() - 1) + R"(, "tools": [{"name": "tide"}]})",
  };
  const std::string hash = load_text_dataset(write("a.jsonl", plain)).records[0].sha256;
  for (const std::string& other : others) {
    EXPECT_NE(load_text_dataset(write("b.jsonl", other)).records[0].sha256, hash) << other;
  }
}

}  // namespace
}  // namespace lora
