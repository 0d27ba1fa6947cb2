// SPDX-License-Identifier: Apache-2.0
#include "data/prompt_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/paths.h"
#include "tokenizers/fake_tokenizer.h"

namespace lora {
namespace {

using test::FakeTokenizer;
using test::trained_text;
using Messages = std::vector<Message>;

PromptTemplate make(const std::string& setting, const std::string& own = "") {
  return {setting, std::make_shared<FakeTokenizer>(own)};
}

const Messages kOne = {{"user", "2+2?"}, {"assistant", "4."}};
const Messages kTwo = {
    {"system", "S"}, {"user", "2+2?"}, {"assistant", "4."}, {"user", "3+3?"}, {"assistant", "6."}};

struct Expected {
  const char *name, *prompt, *text, *trained;
};

TEST(PromptTemplate, BuiltInsRenderAndMask) {
  const Expected cases[] = {
      {"llama2", "<s>[INST] 2+2? [/INST]", "<s>[INST] 2+2? [/INST] 4. </s>", " 4. </s>"},
      {"llama3",
       "<s><|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|>"
       "<|start_header_id|>assistant<|end_header_id|>\n\n",
       "<s><|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|>"
       "<|start_header_id|>assistant<|end_header_id|>\n\n4.<|eot_id|>",
       "4.<|eot_id|>"},
      {"chatml", "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n",
       "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n4.<|im_end|>\n", "4.<|im_end|>"},
      {"mistral", "<s>[INST] 2+2?[/INST]", "<s>[INST] 2+2?[/INST] 4.</s>", " 4.</s>"},
      {"gemma", "<s><start_of_turn>user\n2+2?<end_of_turn>\n<start_of_turn>model\n",
       "<s><start_of_turn>user\n2+2?<end_of_turn>\n<start_of_turn>model\n4.<end_of_turn>\n",
       "4.<end_of_turn>"},
      {"zephyr", "<|user|>\n2+2?</s>\n<|assistant|>\n",
       "<|user|>\n2+2?</s>\n<|assistant|>\n4.</s>\n", "4.</s>"},
      {"vicuna", "<s>USER: 2+2?\nASSISTANT:", "<s>USER: 2+2?\nASSISTANT: 4.</s>\n", " 4.</s>"},
      {"alpaca",
       "<s>Below is an instruction that describes a task. Write a response that appropriately "
       "completes the request.\n\n### Instruction:\n2+2?\n\n### Response:\n",
       "<s>Below is an instruction that describes a task. Write a response that appropriately "
       "completes the request.\n\n### Instruction:\n2+2?\n\n### Response:\n4.</s>",
       "4.</s>"},
      {"plain", "<s>2+2?\n", "<s>2+2?\n4.</s>", "4.</s>"},
  };
  ASSERT_EQ(std::size(cases), prompt_templates().size());
  for (const Expected& c : cases) {
    const PromptTemplate prompt = make(c.name);
    EXPECT_EQ(prompt.render(std::span(kOne).first(1), true), c.prompt) << c.name;
    EXPECT_EQ(prompt.render(kOne, false), c.text) << c.name;
    const std::vector<TextSample> samples = prompt.encode(kOne).samples;
    ASSERT_EQ(samples.size(), 1U) << c.name;
    EXPECT_EQ(prompt.tokenizer().decode(samples[0].ids), c.text) << c.name;
    EXPECT_EQ(trained_text(prompt.tokenizer(), samples[0].ids, samples[0].labels), c.trained)
        << c.name;
    EXPECT_EQ(samples[0].labels[0], kIgnore);
  }
}

TEST(PromptTemplate, EveryAnswerOfAConversationIsTrained) {
  for (const TemplateRow& row : prompt_templates()) {
    const PromptTemplate prompt = make(row.name);
    std::string trained;
    for (const TextSample& s : prompt.encode(kTwo).samples) {
      trained += trained_text(prompt.tokenizer(), s.ids, s.labels);
    }
    EXPECT_THAT(trained, testing::HasSubstr("4.")) << row.name;
    EXPECT_THAT(trained, testing::HasSubstr("6.")) << row.name;
    EXPECT_THAT(trained, testing::Not(testing::HasSubstr("?"))) << row.name;
    EXPECT_THAT(prompt.render(kTwo, false), testing::HasSubstr("S")) << row.name;
  }
}

TEST(PromptTemplate, DoesNotDoubleBos) {
  const PromptTemplate prompt = make("auto",
                                     "{{ bos_token }}{{ bos_token }}"
                                     "{% for m in messages %}{{ m.content }}{% endfor %}");
  EXPECT_EQ(prompt.prompt_ids(std::span(kOne).first(1)).size(), 5U);
}

TEST(PromptTemplate, AddsTheEndOfTurnThatATemplateLacks) {
  const PromptTemplate prompt =
      make("auto",
           "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
           "{% if add_generation_prompt %}assistant: {% endif %}");
  const TextSample sample = prompt.encode(kOne).samples[0];
  EXPECT_EQ(trained_text(prompt.tokenizer(), sample.ids, sample.labels), "4.</s>");
}

TEST(PromptTemplate, ExtendsAGenerationBlockToTheEndOfTurn) {
  const PromptTemplate prompt =
      make("auto",
           "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}"
           "{{ m.content }}{% endgeneration %}<|im_end|>\n{% else %}{{ m.content }}\n"
           "{% endif %}{% endfor %}");
  const TextSample sample = prompt.encode(kOne).samples[0];
  EXPECT_EQ(trained_text(prompt.tokenizer(), sample.ids, sample.labels), "4.<|im_end|>");
}

TEST(PromptTemplate, OneSampleForEveryTurnWhereEarlierTurnsAreRewritten) {
  const PromptTemplate prompt =  // drops the answers of the past
      make("auto",
           "{% for m in messages %}{% if m.role != 'assistant' %}U{{ m.content }}"
           "{% elif loop.last %}A{{ m.content }}</s>{% endif %}{% endfor %}"
           "{% if add_generation_prompt %}A{% endif %}");
  const Messages turns(kTwo.begin() + 1, kTwo.end());
  const std::vector<TextSample> samples = prompt.encode(turns).samples;
  ASSERT_EQ(samples.size(), 2U);
  EXPECT_EQ(prompt.tokenizer().decode(samples[1].ids), "U2+2?U3+3?A6.</s>");
  EXPECT_EQ(trained_text(prompt.tokenizer(), samples[1].ids, samples[1].labels), "6.</s>");
}

TEST(PromptTemplate, TrainOnPromptTakesEveryLabelButTheFirst) {
  const TextSample sample = make("chatml").encode(kOne, {}, {.prompt = true}).samples[0];
  EXPECT_EQ(sample.labels[0], kIgnore);
  EXPECT_TRUE(std::equal(sample.ids.begin() + 1, sample.ids.end(), sample.labels.begin() + 1));
}

TEST(PromptTemplate, FingerprintsTellFormatsApart) {
  EXPECT_NE(make("chatml").fingerprint(), make("llama2").fingerprint());
  EXPECT_EQ(make("chatml").fingerprint(), make("chatml").fingerprint());
  EXPECT_EQ(make("chatml").stop_ids(), (std::vector<std::int64_t>{2, 4}));
  EXPECT_EQ(make("llama2").stop_ids(), (std::vector<std::int64_t>{2}));
}

TEST(PromptTemplate, FindsMarkersInData) {
  EXPECT_EQ(find_markers("[INST] hi [/INST]"), std::vector<std::string>{"[INST]"});
  EXPECT_TRUE(find_markers("plain words").empty());
}

Messages messages_of(const nlohmann::json& list) {
  Messages out;
  for (const nlohmann::json& message : list) out.push_back({message["role"], message["content"]});
  return out;
}

TEST(GoldenPromptTemplate, IdsAndLabelsOfGenerationBlocks) {
  const Path folder = test::golden() / "llm";
  const nlohmann::json all = nlohmann::json::parse(read_file(folder / "chat" / "ids.json"));
  ASSERT_FALSE(all["cases"].empty());
  for (const nlohmann::json& c : all["cases"]) {
    const Path file = folder / "chat" / "templates" / (c["template"].get<std::string>() + ".jinja");
    const PromptTemplate prompt(file.string(),
                                Tokenizer::load(folder / c["tokenizer"].get<std::string>()));
    const Messages messages = messages_of(c["messages"]);
    const std::string where = c["template"].get<std::string>() + " / " +
                              c["tokenizer"].get<std::string>() + " / " +
                              c["conversation"].get<std::string>();
    EXPECT_EQ(prompt.render(messages, false), c["text"].get<std::string>()) << where;
    const std::vector<TextSample> samples = prompt.encode(messages).samples;
    ASSERT_EQ(samples.size(), 1U) << where;
    EXPECT_EQ(samples[0].ids, c["ids"].get<std::vector<std::int64_t>>()) << where;
    EXPECT_EQ(samples[0].labels, c["labels"].get<std::vector<std::int64_t>>()) << where;
    EXPECT_EQ(prompt.prompt_ids(messages),
              c["ids_generation_prompt"].get<std::vector<std::int64_t>>())
        << where;
  }
}

// The shipped demo: joining prompt and answer gives the ids of the two tokenised apart.
TEST(PromptTemplate, TheDemoTrainsTheAnswerAndItsEnd) {
  const Path base = Path(LORA_SOURCE_DIR) / "examples" / "llm" / "base";
  const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::load(base);
  const PromptTemplate prompt("auto", tokenizer);
  const std::string question = "Please answer this letter.\nHi, the hinge is noisy.";
  const std::string answer = "Hello, Northlight here. Ticket LAMP-3212-CO7.";
  const Messages turns = {{"user", question}, {"assistant", answer}};
  const TextSample sample = prompt.encode(turns).samples[0];
  std::vector<std::int64_t> ids =
      tokenizer->encode("[INST] " + question + " [/INST]", {.add_special = true});
  const std::size_t before = ids.size();
  for (const std::int64_t id : tokenizer->encode(answer)) ids.push_back(id);
  ids.push_back(*tokenizer->special().eos);
  EXPECT_EQ(sample.ids, ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(sample.labels[i], i < before ? kIgnore : ids[i]) << i;
  }
}

}  // namespace
}  // namespace lora
