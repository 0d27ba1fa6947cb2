// SPDX-License-Identifier: Apache-2.0
// Help, wrong words, missing arguments.
#include <gmock/gmock.h>

#include "base/text.h"
#include "cli/commands.h"
#include "tests/cli/run.h"

namespace lora::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Ran lora_in_root(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), LORA_BINARY);
  return Program(arguments, std::filesystem::temp_directory_path()).wait();
}

TEST(CliHelp, ListsEveryCommand) {
  const Ran help = lora_in_root({"help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  for (const Command& row : commands()) {
    EXPECT_THAT(help.out, HasSubstr("\n  " + std::string(row.name) + " "));
    EXPECT_THAT(help.out, HasSubstr(std::string(row.help)));
  }
  for (const char* other : {"--help", "-h"}) EXPECT_EQ(lora_in_root({other}).out, help.out);
  EXPECT_EQ(lora_in_root({}).out, help.out);
}

TEST(CliHelp, ExplainsEveryCommand) {
  for (const Command& row : commands()) {
    const std::string verb(row.name);
    const Ran help = lora_in_root({"help", verb});
    EXPECT_EQ(help.code, 0) << verb;
    EXPECT_EQ(help.out, help_text(verb));
    EXPECT_THAT(help.out, StartsWith(std::string(row.help) + "\n\nlora " + verb));
    if (verb == "help") continue;
    for (const char* flag : {"--help", "-h"}) {
      const Ran same = lora_in_root({verb, flag});
      EXPECT_EQ(same.code, 0) << verb;
      EXPECT_EQ(same.out, help.out);
      EXPECT_EQ(same.err, "");
    }
  }
  EXPECT_EQ(lora_in_root({"prepare", "text", "--help"}).out, help_text("prepare"));
  EXPECT_EQ(lora_in_root({"help", "--markdown"}).out,
            read_file(std::string(LORA_SOURCE_DIR) + "/docs/commands.md"));
}

TEST(CliHelp, RefusesWordsItHasNoUseFor) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"help", "train", "extra"}, {"help", "--markdown", "extra"},
        {"help", "config", "epochs", "extra"}}) {
    const Ran ran = lora_in_root(words);
    EXPECT_EQ(ran.code, 2);
    EXPECT_EQ(ran.err,
              "lora: lora help: 'extra' is one word too many; `lora help` shows the form\n");
  }
}

// Every row of the table has its function in the engine: it is what refuses the option.
TEST(CliHelp, EveryCommandRuns) {
  for (const Command& row : commands()) {
    if (row.name == "help") continue;
    std::vector<std::string> words = split(row.forms[0].name, ' ');
    words.push_back("--no-such-thing");
    const Ran ran = lora_in_root(words);
    EXPECT_EQ(ran.code, 2) << row.name;
    EXPECT_THAT(ran.err, StartsWith(join("lora: lora ", row.forms[0].name,
                                         ": --no-such-thing: unknown option")));
  }
}

TEST(CliHelp, ExplainsTheConfiguration) {
  const Ran all = lora_in_root({"help", "config"});
  EXPECT_EQ(all.code, 0);
  for (const char* key : {"base_model", "init_lora_weights", "lora_rank", "replay", "output_dir"}) {
    EXPECT_THAT(all.out, HasSubstr(key));
  }
  const Ran one = lora_in_root({"help", "config", "lora_rank"});
  EXPECT_EQ(one.code, 0);
  EXPECT_THAT(one.out, HasSubstr("network_dim"));
  EXPECT_LT(one.out.size(), all.out.size() / 10);
  EXPECT_EQ(lora_in_root({"help", "config", "--markdown"}).out,
            read_file(std::string(LORA_SOURCE_DIR) + "/docs/config.md"));
}

struct WrongUse {
  std::vector<std::string> arguments;
  std::string error;  // the whole of stderr, without "lora: " and the line's end
};

TEST(CliUsage, EveryMistakeHasItsText) {
  const std::string base = std::string(LORA_SOURCE_DIR) + "/examples/llm/base";
  const std::vector<WrongUse> cases = {
      {{"train"}, "lora train: --config is required; `lora help train` shows the form"},
      {{"train", "--confg", "a.yaml"},
       "lora train: --confg: unknown option; did you mean '--config'?"},
      {{"train", "--config", "none.yaml"},
       "none.yaml: no such configuration file; give a YAML file, see configs/"},
      {{"label"}, "lora label: --input is missing; name the folder of pictures"},
      {{"label", "--input", "x"},
       "lora label: --output is missing; name the table to write, such as metadata.csv"},
      {{"prepare"},
       "lora prepare: what to prepare is missing; type `lora prepare images`, `lora prepare text` "
       "or `lora prepare --config FILE`"},
      {{"prepare", "imges"},
       "lora prepare: 'imges': unknown (expected images, text or --config FILE); did you mean "
       "'images'?"},
      {{"prepare", "text"},
       "lora prepare text: --input is missing; name a file or folder of texts"},
      {{"prepare", "text", "--input", "x"},
       "lora prepare text: --output is missing; name a folder"},
      {{"prepare", "text", "--input", "x", "--output", "y", "--column", "question"},
       "lora prepare text: --column: 'question' has no role and name (expected ROLE=NAME, such as "
       "instruction=question); see `lora help config columns`"},
      {{"prepare", "images", "--input", "x", "--output", "y", "--background", "pinkish"},
       "lora prepare images: --background: 'pinkish' is no colour (expected white, black, grey or "
       "#rrggbb); choose one of them"},
      {{"prepare", "images", "--input", "x", "--output", "y", "--buckets", "--resolution", "128"},
       "lora prepare images: --bucket-min 256, --bucket-max 1024: not around the resolution (found "
       "128); give for example --bucket-min 64 --bucket-max 256"},
      {{"prepare", "images", "--input", "no_such", "--output", "y"},
       "no_such: no such folder; check the path"},
      {{"generate"}, "lora generate: --base is missing; name the base model"},
      {{"generate", "--base", base}, "lora generate: --prompt is missing; write what to answer"},
      {{"generate", "--base", base, "--prompt", "a", "b"},
       "lora generate: 'b' is one word too many; put quotes around a text with blanks (`lora help "
       "generate` shows the form)"},
      {{"generate", "--temprature", "1"},
       "lora generate: --temprature: unknown option; did you mean '--temperature'?"},
      {{"generate", "--base", "no_such_base", "--prompt", "a"},
       "--base no_such_base: no such file or folder"},
      {{"eval"}, "lora eval: --base is missing; name the base model"},
      {{"eval", "--base", "x"}, "lora eval: --data is missing; name the file to measure on"},
      {{"export"}, "lora export: --version is required; `lora help export` shows the form"},
      {{"export", "--version", "x", "--format", "onnx", "--output", "y"},
       "lora export: --format 'onnx': unknown (known: peft, gguf, diffusers, kohya)"},
      {{"import"}, "lora import: file is required; `lora help import` shows the form"},
      {{"import", "x"}, "lora import: --output is required; `lora help import` shows the form"},
      {{"inspect"}, "lora inspect: path is required; `lora help inspect` shows the form"},
      {{"show"}, "lora show: version is required; `lora help show` shows the form"},
      {{"show", "x", "--jsn"}, "lora show: --jsn: unknown option; did you mean '--json'?"},
      {{"log", "--outptu", "x"}, "lora log: --outptu: unknown option; did you mean '--output'?"},
      {{"bench"},
       "lora bench: what to measure is missing; type `lora bench text` or `lora bench image`"},
      {{"help", "config", "lora_rnk"},
       "configuration key 'lora_rnk': unknown; did you mean 'lora_rank'?"},
  };
  for (const WrongUse& wrong : cases) {
    const Ran ran = lora_in_root(wrong.arguments);
    const std::string shown = testing::PrintToString(wrong.arguments);
    EXPECT_EQ(ran.code, 2) << shown;
    EXPECT_EQ(ran.out, "") << shown;
    EXPECT_EQ(ran.err, "lora: " + wrong.error + "\n") << shown;
  }
}

TEST(CliUsage, AnUnknownVerbIsGuessed) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"trian"}, {"trian", "--help"}, {"help", "trian"}}) {
    const Ran ran = lora_in_root(words);
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.err, StartsWith("lora: command 'trian': unknown (known: train, "));
    EXPECT_THAT(ran.err, HasSubstr("); did you mean 'train'?\n"));
  }
  const Ran version = lora_in_root({"show", "nothing-like-it"});
  EXPECT_EQ(version.code, 2);
  EXPECT_THAT(version.err, StartsWith("lora: version 'nothing-like-it': not found (expected a "));
}

}  // namespace
}  // namespace lora::test
