// SPDX-License-Identifier: Apache-2.0
#include "data/text_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "config/fields.h"
#include "data/held_out.h"
#include "data/text_data_fixture.h"
#include "tests/paths.h"
#include "tokenizers/fake_tokenizer.h"

namespace lora {
namespace {

using test::TextData;

TEST_F(TextData, EveryFormatGivesTheSameConversation) {
  const struct {
    const char *file, *content, *format;
  } cases[] = {
      {"a.json", R"([{"instruction": "Q", "input": "", "output": "A"}])", "alpaca"},
      {"b.jsonl",
       "{\"conversations\": [{\"from\": \"human\", \"value\": \"Q\"}, "
       "{\"from\": \"gpt\", \"value\": \"A\"}]}\n",
       "sharegpt"},
      {"c.jsonl",
       "\n{\"messages\": [{\"role\": \"user\", \"content\": \"Q\"}, {\"role\": "
       "\"assistant\", \"content\": [{\"type\": \"text\", \"text\": \"A\"}]}]}\n",
       "messages"},
      {"d.csv", "prompt,completion\r\nQ,A\r\n", "prompt_completion"},
      {"e.json", R"({"data": [{"instruction": "Q", "output": "A"}]})", "alpaca"},
  };
  for (const auto& c : cases) {
    const TextDataset set = load_text_dataset(write(c.file, c.content));
    EXPECT_EQ(set.format, c.format);
    ASSERT_EQ(set.records.size(), 1U) << c.file;
    ASSERT_EQ(set.records[0].messages.size(), 2U) << c.file;
    EXPECT_EQ(set.records[0].messages[0].content, "Q");
    EXPECT_EQ(set.records[0].messages[1].content, "A");
  }
  const TextDataset all = load_text_dataset(folder_);
  EXPECT_EQ(all.records.size(), std::size(cases));
  for (const TextRecord& record : all.records) {
    EXPECT_EQ(record.sha256, all.records[0].sha256) << record.at.file;
  }
}

TEST_F(TextData, ColumnsInputHistoryAndTokens) {
  const TextDataset mapped =
      load_text_dataset(write("a.csv", "question,answer\n\"a, \"\"b\"\"\nc\",D\n"), "auto",
                        {{"instruction", "question"}, {"output", "answer"}});
  EXPECT_EQ(mapped.records[0].messages[0].content, "a, \"b\"\nc");
  const TextDataset rich = load_text_dataset(
      write("b.json", R"([{"instruction": "I", "input": "X", "output": "O", "system": "S",
                           "history": [["q", "a"]]}])"));
  ASSERT_EQ(rich.records[0].messages.size(), 5U);
  EXPECT_EQ(rich.records[0].messages[3].content, "I\nX");
  const TextDataset tokens = load_text_dataset(
      write("c.jsonl", R"({"input_ids": [1, 9, 10], "labels": [-100, -100, 10]})"));
  EXPECT_EQ(tokens.records[0].tokens.labels, (std::vector<std::int64_t>{-100, -100, 10}));
}

TEST_F(TextData, BrokenInputsAndTheirMessages) {
  const struct {
    const char *file, *content, *message;
  } cases[] = {
      {"a.json", "[{\"instruction\": \"x\",\n \"output\" 3}]",
       "DIR/a.json:2: not valid JSON; check quotes, commas and brackets there"},
      {"b.jsonl", "{\"text\": \"x\"}\n{\"text\": \n",
       "DIR/b.jsonl:2: not valid JSON; check quotes, commas and brackets there"},
      {"nan.jsonl", "{\"text\": \"x\"}\n{\"text\": NaN}\n",
       "DIR/nan.jsonl:2: this is not valid JSON (found NaN, which JSON does not have); mend the "
       "record there"},
      {"big.jsonl", "{\"text\": \"x\", \"n\": 1e400}\n",
       "DIR/big.jsonl:1: a number is too large (found one that 64 bits do not hold); mend the "
       "record there"},
      {"twice.csv", "text,text\na,b\n",
       "DIR/twice.csv:1: two columns are called 'text'; rename one"},
      {"c.json", "[]", "DIR/c.json: no records (read 1 file(s), all of them empty)"},
      {"d.jsonl", "{\"foo\": 1, \"bar\": 2}\n",
       "DIR/d.jsonl:1: no known format fits (found the fields foo, bar; expected one of alpaca: "
       "instruction, output (input, system, history); sharegpt: conversations of from, value; "
       "messages: messages of role, content; prompt_completion: prompt, completion; tokens: "
       "input_ids (labels); text: text); name the fields with `columns`"},
      {"e.json", "[1]",
       "DIR/e.json: record 1: not a record (found number, expected fields with names)"},
      {"f.jsonl", "{\"instruction\": \"x\", \"output\": \"\"}\n",
       "DIR/f.jsonl: nothing to train on (1 records read, all left out; the first: DIR/f.jsonl:1: "
       "left out: there is no answer, or it is empty)"},
      {"g.jsonl", "{\"instruction\": [1], \"output\": \"x\"}\n",
       "DIR/g.jsonl:1: field 'instruction' is not a text (found array)"},
      {"h.jsonl", "{\"messages\": [{\"role\": \"usr\", \"content\": \"x\"}]}\n",
       "DIR/h.jsonl:1: unknown role 'usr' (known: human, user, gpt, assistant, model, chatgpt, "
       "bot, system, developer, tool, observation, function_response, ipython, function_call, "
       "function); did you mean "
       "'user'?"},
      {"i.jsonl", "{\"messages\": [{\"role\": \"user\"}]}\n",
       "DIR/i.jsonl:1: a message lacks 'role' or 'content'"},
      {"j.jsonl", "{\"input_ids\": [1, 2], \"labels\": [1]}\n",
       "DIR/j.jsonl:1: labels do not fit input_ids (found 1, expected 2)"},
      {"k.jsonl", "{\"input_ids\": [1, \"x\"]}\n",
       "DIR/k.jsonl:1: field 'input_ids' holds \"x\", which is no id"},
      {"l.jsonl", "{\"input_ids\": [1, -5]}\n",
       "DIR/l.jsonl:1: input_ids holds the negative number -5"},
      {"m.xml", "<a/>",
       "DIR/m.xml: unknown kind of file (found '.xml', expected one of .jsonl, .json, .csv, .txt, "
       ".md, .ndjson)"},
      {"n.txt", " \n", "DIR/n.txt: no records (read 1 file(s), all of them empty)"},
      {"o.json", "\"text\"", "DIR/o.json: not a list of records (found string)"},
      {"p.jsonl", "{\"input_ids\": [1, 2], \"labels\": [-100, -100]}\n",
       "DIR/p.jsonl: nothing to train on (1 records read, all left out; the first: DIR/p.jsonl:1: "
       "left out: no label is a target)"},
      {"q.jsonl", "{\"instruction\": \"x\", \"output\": \"y\", \"history\": [[\"a\"]]}\n",
       "DIR/q.jsonl:1: field 'history' is not a list of [question, answer] pairs"},
  };
  for (const auto& c : cases) {
    const Path file = write(c.file, c.content);
    EXPECT_EQ(error_of([&] { load_text_dataset(file); }), c.message);
  }
  const Path lines = write("lines.json", "\n \n{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  EXPECT_EQ(load_text_dataset(lines).records.size(), 2U);
  const Path deep = write("deep.jsonl", "{\"text\": " + std::string(200'000, '[') + "}\n");
  EXPECT_EQ(error_of([&] { load_text_dataset(deep); }),
            "DIR/deep.jsonl:1: nested too deeply (found more than 100 brackets inside each other); "
            "mend the record there");
  std::filesystem::create_directory(folder_ / "links");
  std::filesystem::create_symlink("loop.jsonl", folder_ / "links" / "loop.jsonl");
  EXPECT_EQ(error_of([&] { load_text_dataset(folder_ / "links"); }),
            "DIR/links: no data files (looked for .jsonl, .json, .csv, .txt, .md, .ndjson in this "
            "folder and below; found none); left out loop.jsonl: cannot be read (Too many levels "
            "of symbolic links); a link that leads nowhere? Remove it or mend it");
  EXPECT_EQ(error_of([&] { load_text_dataset(folder_ / "none.json"); }),
            "DIR/none.json: no such file or folder; check the path");
  std::filesystem::create_directory(folder_ / "empty");
  EXPECT_EQ(error_of([&] { load_text_dataset(folder_ / "empty"); }),
            "DIR/empty: no data files (looked for .jsonl, .json, .csv, .txt, .md, .ndjson in this "
            "folder and below; found none)");
  const Path bad = write("z.jsonl", "{\"text\": \"x\"}\n{\"text\": \"\xe9\"}\n");
  EXPECT_EQ(error_of([&] { load_text_dataset(bad); }).substr(0, 35),
            "DIR/z.jsonl:2: not valid UTF-8 (byt");
  const Path file = write("y.jsonl", "{\"text\": \"x\"}\n");
  EXPECT_EQ(error_of([&] { load_text_dataset(file, "alpaca"); }),
            "DIR/y.jsonl:1: field 'instruction' is missing (found text); name it with `columns: "
            "{instruction: ...}`");
  const std::shared_ptr<const Tokenizer> tokenizer = std::make_shared<test::FakeTokenizer>();
  EXPECT_EQ(error_of([&] { PromptTemplate("chatlm", tokenizer); }),
            "prompt_template 'chatlm': neither a built-in name nor a file (known: auto, llama2, "
            "llama3, chatml, mistral, gemma, zephyr, vicuna, alpaca, plain); did you mean "
            "'chatml'?");
}

// The choices of the key are the rows of the table, both ways.
TEST(TextFormats, AreTheChoicesOfTheKey) {
  std::vector<std::string> names = names_of(text_formats());
  names.emplace_back("auto");
  std::vector<std::string> choices = split(find_field("dataset_format")->choices, ' ');
  std::ranges::sort(names);
  std::ranges::sort(choices);
  EXPECT_EQ(names, choices);
}

TEST(FitLengths, AsLlamaFactory) {
  const std::int64_t vectors[][5] = {{3000, 2000, 1000, 600, 400}, {2000, 3000, 1000, 400, 600},
                                     {1000, 100, 1000, 900, 100},  {100, 1000, 1000, 100, 900},
                                     {100, 500, 1000, 100, 500},   {500, 100, 1000, 500, 100},
                                     {10, 10, 1000, 10, 10}};
  for (const auto& v : vectors) {
    const Lengths kept = fit_lengths(v[0], v[1], v[2]);
    EXPECT_EQ(kept.prompt, v[3]);
    EXPECT_EQ(kept.answer, v[4]);
  }
}

TEST_F(TextData, TokenizesCutsAndSplits) {
  const std::shared_ptr<const Tokenizer> tokenizer = std::make_shared<test::FakeTokenizer>();
  const PromptTemplate prompt("llama2", tokenizer);
  const TextDataset set = load_text_dataset(write(
      "a.jsonl", "{\"prompt\": \"" + std::string(100, 'q') + "\", \"completion\": \"yes\"}\n"));
  TextConfig options;
  options.max_seq_length = 40;
  const TextSamples cut = tokenize_dataset(set, prompt, options);
  ASSERT_EQ(cut.samples[0].ids.size(), 40U);
  EXPECT_EQ(cut.truncated, 1);
  EXPECT_EQ(cut.answers_cut, 0);
  const std::string text = tokenizer->decode(cut.samples[0].ids);
  EXPECT_TRUE(text.starts_with("<s>[INST] qq"));
  EXPECT_TRUE(text.ends_with("qq [/INST] yes </s>"));

  const TextDataset book = load_text_dataset(write("b.txt", std::string(95, 'x')));
  const TextSamples pieces = tokenize_dataset(book, prompt, options);
  EXPECT_EQ(pieces.samples.size(), 3U);  // BOS + 95 + EOS = 97 tokens in rows of 40
  EXPECT_EQ(pieces.tokens, 97);

  std::string many;
  for (int i = 0; i < 20; ++i) {
    many += "{\"prompt\": \"p" + std::to_string(i) + "\", \"completion\": \"c\"}\n";
  }
  const TextDataset rows = load_text_dataset(write("c.jsonl", many));
  TextSamples train = tokenize_dataset(rows, prompt, options);
  const TextSamples held = take_validation(train, 0.1, 3);
  EXPECT_EQ(held.records, (std::vector<std::size_t>{2, 3}));  // as 0.1.0
  EXPECT_EQ(train.samples.size(), 18U);
  TextSamples one = cut;
  EXPECT_EQ(error_of([&] { take_validation(one, 0.1, 3); }),
            "validation_split: too few samples to keep some apart (found 1, expected at least 2); "
            "set it to 0, or name a file or folder in validation_data");
}

TEST(DataText, RealFilesLoad) {
  const Path folder = test::data() / "text";
  LORA_SKIP_WITHOUT(folder);
  EXPECT_EQ(load_text_dataset(folder / "alpaca_en_demo.json").records.size(), 999U);
  EXPECT_EQ(load_text_dataset(folder / "identity.json").records.size(), 91U);
  EXPECT_EQ(load_text_dataset(folder / "instruction-data.json").records.size() +
                load_text_dataset(folder / "instruction-data.json").notes.size(),
            1100U);
  EXPECT_EQ(load_text_dataset(folder / "wikisql" / "train.jsonl").records.size(), 1000U);
  const TextDataset sst = load_text_dataset(folder / "cl-mini" / "SST-2" / "train.json", "auto",
                                            {{"instruction", "sentence"}, {"output", "label"}});
  EXPECT_EQ(sst.records.size(), 2000U);
}

}  // namespace
}  // namespace lora
