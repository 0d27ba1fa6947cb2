// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "config/config_fixture.h"
#include "config/dialect.h"
#include "config/fields.h"

namespace lora {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(ConfigTest, KeysTypesAndAliases) {
  const Config config = text(
      "r: 4\nnetwork_alpha: 2\nlr: 1e-4\nnum_train_epochs: 3.0\nlora_target: q_proj, v_proj\n"
      "per_device_train_batch_size: 2\ncutoff_len: 128\nrank_pattern: {down_proj: 16}\n"
      "columns: {output: answer}\noptim: adamw_torch\nmixed_precision: no\npacking: yes\n"
      "lora_dropout:\n");
  EXPECT_EQ(config.adapter.lora_rank, 4);
  EXPECT_EQ(config.adapter.lora_alpha, 2);
  EXPECT_EQ(config.optimisation.learning_rate, 1e-4);
  EXPECT_EQ(config.length.epochs, 3);
  EXPECT_THAT(config.adapter.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(config.length.batch_size, 2);
  EXPECT_EQ(config.text.max_seq_length, 128);
  EXPECT_EQ(config.adapter.rank_pattern.at("down_proj"), 16);
  EXPECT_EQ(config.data.columns.at("output"), "answer");
  EXPECT_EQ(config.optimisation.optimizer, "adamw");
  EXPECT_EQ(config.machine.mixed_precision, "no");
  EXPECT_TRUE(config.text.packing);
  EXPECT_FALSE(config.adapter.lora_dropout);  // null = absent
  EXPECT_EQ(config.task_type, "text-generation");
}

TEST_F(ConfigTest, ARegularExpressionIsOneTarget) {
  const Config config = text("target_modules: layers\\.[0-3]\\..*(q|v)_proj{1,2}\n");
  EXPECT_THAT(config.adapter.target_modules, ElementsAre("layers\\.[0-3]\\..*(q|v)_proj{1,2}"));
  EXPECT_TRUE(is_regex(config.adapter.target_modules[0]));
  EXPECT_FALSE(is_regex("attn1.to_q"));
}

TEST_F(ConfigTest, OverridesReplaceTheFileAndDisplaceTheOtherOfAPair) {
  const Config config = text("epochs: 3\nwarmup_ratio: 0.1\nlora_rank: eight\n",
                             {"max_steps=20", "lora_rank=8", "r=16", "warmup_steps=2",
                              "target_modules=[q_proj, o_proj]", "trigger_word=null"});
  EXPECT_FALSE(config.length.epochs);
  EXPECT_EQ(config.length.max_steps, 20);
  EXPECT_EQ(config.adapter.lora_rank, 16);
  EXPECT_FALSE(config.optimisation.warmup_ratio);
  EXPECT_EQ(config.optimisation.warmup_steps, 2);
  EXPECT_THAT(config.adapter.target_modules, ElementsAre("q_proj", "o_proj"));
}

TEST_F(ConfigTest, EitherOfAPairOnTheCommandLineDisplacesTheOther) {
  const std::string data = "examples/llm/support_v1/valid.jsonl";
  const Config config = text("max_steps: 20\nwarmup_steps: 2\nvalidation_split: 0.1\n",
                             {"num_train_epochs=2", "warmup_ratio=0.1", "validation_data=" + data});
  EXPECT_EQ(config.length.epochs, 2);
  EXPECT_FALSE(config.length.max_steps);
  EXPECT_EQ(config.optimisation.warmup_ratio, 0.1);
  EXPECT_FALSE(config.optimisation.warmup_steps);
  EXPECT_EQ(config.data.validation_data, data);
  EXPECT_EQ(config.data.validation_split, 0);
  EXPECT_EQ(text("validation_data: " + data + "\n", {"validation_split=0.2"}).data.validation_data,
            "");
  EXPECT_EQ(text("epochs: 6\n", {"max_steps=null"}).length.epochs, 6) << "null says nothing";
}

TEST_F(ConfigTest, WhatFollowsFromOtherKeys) {
  EXPECT_EQ(text("").length.epochs, 3);
  EXPECT_EQ(image("").length.epochs, 10);
  EXPECT_EQ(text("").increment.retain, "none");
  const std::string warm = "init_lora_weights: examples/llm/base/model.safetensors\n";
  EXPECT_EQ(text(warm + "replay: 0.25\n").increment.retain, "replay");
  EXPECT_EQ(text(warm + "retain: replay\n").increment.replay, 0.5);
  EXPECT_TRUE(is_warm_start(text(warm)));
  EXPECT_FALSE(is_warm_start(text("init_lora_weights: Gaussian\n")));
  EXPECT_EQ(text("init_lora_weights: True\n").adapter.init_lora_weights, "true");
}

TEST_F(ConfigTest, WarmUpSteps) {
  Config config;
  EXPECT_EQ(warmup_steps_of(config, 1000), 30);
  EXPECT_EQ(warmup_steps_of(config, 10), 1);
  config.adapter.init_lora_weights = "v1";
  EXPECT_EQ(warmup_steps_of(config, 1000), 50);
  EXPECT_EQ(warmup_steps_of(config, 100), 10);
  EXPECT_EQ(warmup_steps_of(config, 8), 4);
  config.optimisation.warmup_ratio = 0.1;
  EXPECT_EQ(warmup_steps_of(config, 100), 10);
  config.optimisation.warmup_ratio.reset();
  config.optimisation.warmup_steps = 0;
  EXPECT_EQ(warmup_steps_of(config, 100), 0);
}

TEST_F(ConfigTest, DefaultsOfTheAdapter) {
  Config config = text("r: 4\n");
  fill_defaults(config);
  EXPECT_EQ(config.adapter.lora_alpha, 8);
  EXPECT_EQ(config.optimisation.learning_rate, 2e-4);
  EXPECT_THAT(config.adapter.target_modules, ElementsAre("q_proj", "v_proj"));
  Config picture = image("");
  fill_defaults(picture);
  EXPECT_EQ(picture.adapter.lora_alpha, 8);
  EXPECT_THAT(picture.adapter.target_modules, ElementsAre("attention"));
}

TEST_F(ConfigTest, OutputRoot) {
  Config config;
  config.output_dir = "./output/v1/";
  EXPECT_EQ(output_root(config), Path("output"));
  config.output_dir = "v1";
  EXPECT_EQ(output_root(config), Path("."));
}

TEST_F(ConfigTest, ResolvedYamlGivesTheSameConfig) {
  Config config = image(
      "trigger_word: \"a \\\"b\\\" # c: \\n\\\\\"\nsample_prompts: [\"x, y\", 'null']\n"
      "snr_gamma: 5\nlr: 1e-7\nrank_pattern: {'.*to_q': 4}\nalpha_pattern: {to_k: 0.3}\n"
      "columns: {image: \"\", caption: 'no'}\nuse_dora: true\nclass_prompt: null\n");
  EXPECT_EQ(parse_config(resolved_yaml(config), "resolved.yaml"), config);
  fill_defaults(config);
  EXPECT_EQ(parse_config(resolved_yaml(config), "resolved.yaml"), config);
  Config other = text("retain: none\nmax_steps: 5\n");
  EXPECT_EQ(parse_config(resolved_yaml(other), "resolved.yaml"), other);
}

TEST_F(ConfigTest, SamplePromptsFromAFileAreResolved) {
  const Path file = Path(testing::TempDir()) / "config_test_prompts.txt";
  write_file_atomic(file, "# fronts\na cat\n\n  a dog, red \n");
  EXPECT_THAT(image("sample_prompts: " + file.string() + "\n").sampling.sample_prompts,
              ElementsAre("a cat", "a dog, red"));
}

TEST_F(ConfigTest, SamplePromptsBeginBehindTheByteOrderMark) {
  const Path file = Path(testing::TempDir()) / "config_test_bom.txt";
  write_file_atomic(file, "\xef\xbb\xbf# fronts\r\na cat\r\n");
  EXPECT_THAT(image("sample_prompts: " + file.string() + "\n").sampling.sample_prompts,
              ElementsAre("a cat"));
  write_file_atomic(file, "a cat\ncaf\xe9\n");
  try {
    image("sample_prompts: " + file.string() + "\n");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(),
              file.string() + ":2: not valid UTF-8 (byte 0xE9); save the file as UTF-8");
  }
}

TEST_F(ConfigTest, AResolutionOfTwoEqualEdgesIsASquare) {
  for (const char* edges : {"512,512", "[512, 512]", "'512, 512'", "512"}) {
    EXPECT_EQ(image(std::string("resolution: ") + edges + "\n").images.resolution, 512) << edges;
  }
}

TEST_F(ConfigTest, ShippedConfigurationsLoad) {
  for (const char* name : {"llm_lora", "sd_lora"}) {
    const Config config = load_config(std::string("configs/") + name + ".yaml");
    EXPECT_EQ(parse_config(resolved_yaml(config), "resolved.yaml"), config) << name;
    EXPECT_FALSE(is_warm_start(config));
  }
  const std::string parent = "init_lora_weights=examples/llm/base/model.safetensors";
  for (const char* name : {"llm_increment", "sd_increment"}) {
    const Config config = load_config(std::string("configs/") + name + ".yaml", {parent});
    EXPECT_TRUE(is_warm_start(config));
    EXPECT_EQ(config.increment.replay, 0.5);
    EXPECT_FALSE(config.optimisation.learning_rate);
  }
}

TEST_F(ConfigTest, EveryFileInConfigsIsListedAbove) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("configs")) {
    names.insert(entry.path().stem().string());
  }
  EXPECT_THAT(names, ElementsAre("llm_increment", "llm_lora", "sd_increment", "sd_lora"));
}

TEST_F(ConfigTest, WordsOfOtherProgramsKeepTheirMeaning) {
  const Config config = text("lora_target: all\ntemplate: qwen\nmax_steps: -1\nepochs: 3\n");
  EXPECT_THAT(config.adapter.target_modules, ElementsAre("all-linear"));
  EXPECT_EQ(config.text.prompt_template, "chatml");
  EXPECT_EQ(config.length.epochs, 3);
  EXPECT_FALSE(config.length.max_steps);
  // On the command line -1 takes the key away and leaves its partner.
  const Config again = text("epochs: 3\n", {"max_steps=-1"});
  EXPECT_EQ(again.length.epochs, 3);
  const Config steps = text("max_steps: 7\n", {"max_steps=-1"});
  EXPECT_FALSE(steps.length.max_steps);
}

TEST_F(ConfigTest, MistakesInTheKeysOfTexts) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"template_date: 31 Jan 2026\n",
       "a.yaml:4:1: template_date: not a date (found '31 Jan 2026', expected 2026-01-31 or "
       "2026-01-31 12:00:00); write it so"},
      {"bad_records: 1.5\n",
       "a.yaml:4:14: bad_records: out of range (found '1.5', expected 0 to 1); see `lora help "
       "config bad_records`"},
      {"roles_to_train: [assistant]\n",
       "a.yaml:4:1: roles_to_train: unknown key; leave it out: answers are learned; or write "
       "'train_on_prompt'"},
  };
  for (const auto& c : cases) {
    try {
      text(c.text);
      FAIL() << c.text;
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), c.message);
    }
  }
}

TEST_F(ConfigTest, ExpressionsAreCheckedWhenTheyAreRead) {
  try {
    text(
        "target_modules: \"layers.[01.*\"\nrank_pattern: {\"q_proj(\": 4}\n"
        "alpha_pattern: {\"*_proj\": 8}\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "a.yaml:4:1: target_modules: 'layers.[01.*' is not a regular expression (found "
        "missing terminating ] for character class at character 13); mend it, or give a "
        "module name such as q_proj\n"
        "a.yaml:5:1: rank_pattern: 'q_proj(' is not a regular expression (found missing "
        "closing parenthesis at character 8); mend it, or give a module name such as "
        "q_proj\n"
        "a.yaml:6:1: alpha_pattern: '*_proj' is not a regular expression (found quantifier "
        "does not follow a repeatable item at character 1); mend it, or give a module "
        "name such as q_proj");
  }
}

TEST(ConfigFields, NamesAreUniqueAndDefaultsAreAllowed) {
  std::set<std::string> names;
  for (const std::string& name : field_names()) EXPECT_TRUE(names.insert(name).second) << name;
  for (const std::string& name : names) EXPECT_EQ(advice_for(name), "") << name;
  for (const FieldGroup& group : field_groups()) {
    for (const Field& field : group.fields) {
      const std::string value = value_text(Config{}, field).value_or("\"\"");
      if (field.choices.empty() || value == "\"\"") continue;
      EXPECT_THAT(split(field.choices, ' '), testing::Contains(value)) << field.name;
      EXPECT_EQ(not_available(field.name, value), "") << field.name;
    }
  }
}

TEST_F(ConfigTest, TheGeneratedPageIsCurrent) {
  EXPECT_EQ(read_file("docs/config.md"), config_markdown())
      << "run: lora help config --markdown > docs/config.md";
}

TEST(ConfigHelp, OneKey) {
  EXPECT_THAT(config_help("network_dim"), HasSubstr("default: the parent's, else 8\n"));
  EXPECT_THAT(config_help("mixed_precision"), HasSubstr("values: auto, bf16, fp16, no\n"));
  try {
    config_help("lora_rnak");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "configuration key 'lora_rnak': unknown; did you mean 'lora_rank'?");
    EXPECT_EQ(error.code(), Exit::usage);
  }
}

TEST_F(ConfigTest, MissingFile) {
  try {
    load_config("configs/none.yaml");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "configs/none.yaml: no such configuration file; give a YAML file, see configs/");
  }
}

}  // namespace
}  // namespace lora
