// SPDX-License-Identifier: Apache-2.0
// Broken configurations and their exact messages.
#include <gtest/gtest.h>

#include "base/error.h"
#include "config/config_fixture.h"

namespace lora {
namespace {

enum class Base { none, text, image };

struct Broken {
  const char* name;
  Base base;  // lines 1 to 3 are valid
  std::string yaml;
  std::vector<std::string> overrides;
  std::string message;
};

void PrintTo(const Broken& row, std::ostream* out) { *out << row.name; }

const Broken kBroken[] = {
    {"misspelt",
     Base::text,
     "  \nlora_rnak: 8\n",
     {},
     "a.yaml:5:1: lora_rnak: unknown key; did you mean 'lora_rank'?"},
    {"nothing_like_it",
     Base::text,
     "zzzzzz: 8\n",
     {},
     "a.yaml:4:1: zzzzzz: unknown key; `lora help config` lists every key"},
    {"of_another_program",
     Base::text,
     "bf16: true\n",
     {},
     "a.yaml:4:1: bf16: unknown key; write 'mixed_precision: bf16'"},
    {"word_for_number",
     Base::text,
     "lora_rank: eight\n",
     {},
     "a.yaml:4:12: lora_rank: wrong type (found 'eight', expected a whole number); see `lora help "
     "config lora_rank`"},
    {"not_finite",
     Base::text,
     "learning_rate: .inf\n",
     {},
     "a.yaml:4:16: learning_rate: wrong type (found '.inf', expected a number); see `lora help "
     "config learning_rate`"},
    {"list_for_number",
     Base::text,
     "batch_size: [1, 2]\n",
     {},
     "a.yaml:4:13: batch_size: wrong type (found a list, expected a whole number); see `lora help "
     "config batch_size`"},
    {"word_for_boolean",
     Base::text,
     "packing: maybe\n",
     {},
     "a.yaml:4:10: packing: wrong type (found 'maybe', expected true or false); see `lora help "
     "config packing`"},
    {"number_in_mapping",
     Base::text,
     "rank_pattern: {q_proj: many}\n",
     {},
     "a.yaml:4:24: rank_pattern: wrong type (found 'many', expected a whole number); see `lora "
     "help config rank_pattern`"},
    {"nested",
     Base::text,
     "lora_rank:\n  value: 8\n",
     {},
     "a.yaml:5:3: lora_rank: wrong type (found a mapping, expected a whole number); see `lora "
     "help config lora_rank`"},
    {"too_large",
     Base::text,
     "lora_dropout: 1.5\n",
     {},
     "a.yaml:4:15: lora_dropout: out of range (found '1.5', expected 0 to 0.95); see `lora help "
     "config lora_dropout`"},
    {"not_positive",
     Base::text,
     "lora_alpha: 0\n",
     {},
     "a.yaml:4:13: lora_alpha: out of range (found '0', expected greater than 0); see `lora help "
     "config lora_alpha`"},
    {"rank_in_pattern",
     Base::text,
     "rank_pattern: {q_proj: 0}\n",
     {},
     "a.yaml:4:24: rank_pattern: out of range (found '0', expected 1 to 4096); see `lora help "
     "config rank_pattern`"},
    {"choice",
     Base::text,
     "mixed_precision: bf61\n",
     {},
     "a.yaml:4:18: mixed_precision: unknown choice (found 'bf61', expected one of auto, bf16, "
     "fp16, no); did you mean 'bf16'?"},
    {"choice_far_off",
     Base::text,
     "optimizer: shampoo\n",
     {},
     "a.yaml:4:12: optimizer: unknown choice (found 'shampoo', expected one of adamw, lion, "
     "adafactor, sgd); choose one of them"},
    {"choice_of_another_program",
     Base::text,
     "optimizer: Prodigy\n",
     {},
     "a.yaml:4:12: optimizer: unknown choice (found 'Prodigy', expected one of adamw, lion, "
     "adafactor, sgd); write adamw and a learning_rate: none is chosen by itself"},
    {"later_shrink",
     Base::text,
     "rank_policy: shrink\n",
     {},
     "a.yaml:4:14: rank_policy: 'shrink' is not available yet in this version; keep the parent's "
     "rank: remove lora_rank"},
    {"later_patch",
     Base::text,
     "retain: patch\n",
     {},
     "a.yaml:4:9: retain: 'patch' is not available yet in this version; protect the parent with "
     "replay: 0.5"},
    {"later_guard",
     Base::text,
     "guard: stop\n",
     {},
     "a.yaml:4:8: guard: 'stop' is not available yet in this version; watch the parent's data by "
     "naming it in validation_data"},
    {"twice",
     Base::text,
     "seed: 1\nseed: 2\n",
     {},
     "a.yaml:5:1: seed: given twice (first in line 4 as 'seed'); keep one"},
    {"twice_by_alias",
     Base::text,
     "r: 8\nlora_rank: 16\n",
     {},
     "a.yaml:5:1: lora_rank: given twice (first in line 4 as 'r'); keep one"},
    {"tab",
     Base::text,
     "rank_pattern:\n\tq_proj: 4\n",
     {},
     "a.yaml:5:1: not valid YAML (found a tab, expected spaces); indent with spaces"},
    {"yaml",
     Base::text,
     "target_modules: [q_proj\nseed: 1\n",
     {},
     "a.yaml:5:5: not valid YAML (end of sequence flow not found); mend this line or the one "
     "before"},
    {"empty",
     Base::none,
     "# only a comment\n",
     {},
     "a.yaml: nothing in it (expected lines of `key: value`); see configs/"},
    {"list",
     Base::none,
     "- a\n- b\n",
     {},
     "a.yaml:1:1: not a configuration (expected lines of `key: value`); see configs/"},
    {"everything_missing",
     Base::none,
     "seed: 1\n",
     {},
     "a.yaml: base_model: missing (expected the folder of the model); add `base_model: ...`\n"
     "a.yaml: train_data_dir: missing (expected the training file or folder); add "
     "`train_data_dir: ...`\n"
     "a.yaml: output_dir: missing (expected the folder of the new version); add e.g. "
     "`output_dir: ./output/my_v1`"},
    {"all_at_once",
     Base::text,
     "lora_rnak: 8\nseed: x\nguard: stop\n",
     {"foo"},
     "a.yaml:4:1: lora_rnak: unknown key; did you mean 'lora_rank'?\n"
     "a.yaml:5:7: seed: wrong type (found 'x', expected a whole number); see `lora help config "
     "seed`\n"
     "a.yaml:6:8: guard: 'stop' is not available yet in this version; watch the parent's data by "
     "naming it in validation_data\n"
     "command line: 'foo' is no override (expected key=value)"},
    {"override_key",
     Base::text,
     "",
     {"lernrate=1"},
     "command line: lernrate: unknown key; `lora help config` lists every key"},
    {"override_value",
     Base::text,
     "",
     {"epochs=many"},
     "command line: epochs: wrong type (found 'many', expected a number); see `lora help config "
     "epochs`"},
    {"length_twice",
     Base::text,
     "epochs: 2\nmax_steps: 10\n",
     {},
     "a.yaml:5:1: max_steps: the length is given twice (found epochs: 2 and max_steps: 10); remove "
     "one of the two"},
    {"warmup_twice",
     Base::text,
     "warmup_steps: 2\nwarmup_ratio: 0.1\n",
     {},
     "a.yaml:5:1: warmup_ratio: the warm-up is given twice (found warmup_steps: 2 and "
     "warmup_ratio: 0.1); remove one of the two"},
    {"warmup_too_long",
     Base::text,
     "warmup_steps: 10\nmax_steps: 10\n",
     {},
     "a.yaml:4:1: warmup_steps: not shorter than the run (found 10, expected less than max_steps: "
     "10); lower it"},
    {"validation_twice",
     Base::text,
     "validation_split: 0.1\nvalidation_data: examples/llm/support_v1/valid.jsonl\n",
     {},
     "a.yaml:4:1: validation_split: validation is given twice (found validation_split: 0.1 and "
     "validation_data: examples/llm/support_v1/valid.jsonl); remove one of the two"},
    {"nothing_to_watch",
     Base::text,
     "early_stopping: true\n",
     {},
     "a.yaml:4:1: early_stopping: has no effect without validation_data or validation_split; set "
     "validation_data or validation_split, or remove early_stopping"},
    {"replay_of_nothing",
     Base::text,
     "replay: 0.5\n",
     {},
     "a.yaml:4:1: replay: there is no parent whose data could be replayed; name a version in "
     "init_lora_weights, or remove it"},
    {"retain_against_replay",
     Base::text,
     "init_lora_weights: examples/llm/base/model.safetensors\nretain: none\nreplay: 0.5\n",
     {},
     "a.yaml:5:1: retain: does not fit replay (found retain: none and replay: 0.5); remove one of "
     "the two"},
    {"init_neither",
     Base::text,
     "init_lora_weights: gausian\n",
     {},
     "a.yaml:4:1: init_lora_weights: neither a version to continue from nor an initialisation "
     "(found 'gausian', expected a path, a version in output, or true, false, gaussian); did you "
     "mean 'gaussian'?"},
    {"init_missing_file",
     Base::text,
     "init_lora_weights: ./no/such.safetensors\n",
     {},
     "a.yaml:4:1: init_lora_weights: no such file or folder (found './no/such.safetensors', "
     "expected the adapter to continue from); relative paths start at the working directory"},
    {"init_of_peft",
     Base::text,
     "init_lora_weights: pissa_niter_4\n",
     {},
     "a.yaml:4:1: init_lora_weights: this initialisation of PEFT is not supported (found "
     "'pissa_niter_4', expected true, false or gaussian); leave it out"},
    {"init_pickle",
     Base::text,
     "init_lora_weights: old/adapter_model.bin\n",
     {},
     "a.yaml:4:1: init_lora_weights: a pickle is not read (found 'old/adapter_model.bin'): loading "
     "one can run code; convert it to .safetensors"},
    {"no_such_base",
     Base::none,
     "base_model: meta-llama/Llama-2-7b\ntrain_data_dir: examples/llm\noutput_dir: o/v1\n",
     {},
     "a.yaml:1:1: base_model: no such file or folder (found 'meta-llama/Llama-2-7b', expected a "
     "model on this machine); models are not downloaded: give its folder"},
    {"base_is_data",
     Base::none,
     "base_model: examples/llm/support_v1\ntrain_data_dir: examples/llm\noutput_dir: o/v1\n",
     {},
     "a.yaml:1:1: base_model: not a base model (found a folder without config.json and "
     "model_index.json: 'examples/llm/support_v1'); give the folder that holds them"},
    {"task_and_base",
     Base::image,
     "task_type: text-generation\n",
     {},
     "a.yaml:4:1: task_type: does not fit base_model (found text-generation, expected "
     "text-to-image: 'examples/sd/base' is such a model); remove task_type or give another "
     "base_model"},
    {"no_data",
     Base::text,
     "",
     {"train_data_dir=nowhere"},
     "command line: train_data_dir: no such file or folder (found 'nowhere', expected training "
     "data); relative paths start at the working directory"},
    {"pictures_without_a_folder",
     Base::none,
     "base_model: examples/sd/base\nmetadata_path: examples/sd/base/model_index.json\n"
     "output_dir: output/v1\n",
     {},
     "a.yaml: train_data_dir: missing (expected the folder of the pictures; metadata_path holds "
     "their captions alone); add `train_data_dir: ...`"},
    {"bad_name",
     Base::text,
     "",
     {"output_dir=output/my version"},
     "command line: output_dir: its last part is no name for a version (found 'my version', "
     "expected letters, digits, '_', '-', '+' and '.', the first one neither '-' nor '.'); choose "
     "another, e.g. my_v1"},
    {"reserved_name",
     Base::text,
     "",
     {"output_dir=output/latest/"},
     "command line: output_dir: its last part is a reserved word (found 'latest', which stands for "
     "the version that was committed last); choose another, e.g. latest_v1"},
    {"image_key_for_text",
     Base::text,
     "enable_bucket: true\n",
     {},
     "a.yaml:4:1: enable_bucket: only for text-to-image (this run is text-generation); remove it"},
    {"text_key_for_image",
     Base::image,
     "packing: false\n",
     {},
     "a.yaml:4:1: packing: only for text-generation (this run is text-to-image); remove it"},
    {"column_role",
     Base::text,
     "columns: {instuction: q}\n",
     {},
     "a.yaml:4:1: columns: unknown role (found 'instuction', expected one of instruction, input, "
     "output, system, history, prompt, text, messages, image, completion, caption); did you mean "
     "'instruction'?"},
    {"momentum",
     Base::text,
     "momentum: 0.9\n",
     {},
     "a.yaml:4:1: momentum: has no effect without optimizer: sgd; set optimizer: sgd, or remove "
     "momentum"},
    {"cycles",
     Base::text,
     "lr_scheduler_num_cycles: 3\n",
     {},
     "a.yaml:4:1: lr_scheduler_cycles: has no effect without lr_scheduler: cosine_with_restarts; "
     "set lr_scheduler: cosine_with_restarts, or remove lr_scheduler_cycles"},
    {"fp16_on_cpu",
     Base::text,
     "mixed_precision: fp16\ndevice: cpu\n",
     {},
     "a.yaml:4:1: mixed_precision: fp16 needs a GPU (found device: cpu); use bf16, no or auto on "
     "the CPU"},
    {"resolution",
     Base::image,
     "resolution: 500\n",
     {},
     "a.yaml:4:1: resolution: not a multiple of 8 (found 500, expected 496 or 504); the VAE works "
     "on blocks of 8 pixels"},
    {"bucket_edges",
     Base::image,
     "buckets: true\nresolution: 1024\nbucket_max: 768\n",
     {},
     "a.yaml:4:1: buckets: the edges do not enclose the resolution (found bucket_min: 256, "
     "resolution: 1024, bucket_max: 768); change one of them"},
    {"token_length",
     Base::image,
     "max_token_length: 100\n",
     {},
     "a.yaml:4:1: max_token_length: unknown choice (found 100, expected one of 75, 150, 225); "
     "choose one of them"},
    {"prior_without_prompt",
     Base::image,
     "prior_preservation: true\n",
     {},
     "a.yaml:4:1: prior_preservation: class_prompt is missing (expected what the class pictures "
     "show); add e.g. `class_prompt: a girl`"},
    {"prompt_without_prior",
     Base::image,
     "class_prompt: a girl\n",
     {},
     "a.yaml:4:1: class_prompt: has no effect without prior_preservation: true; set "
     "prior_preservation: true, or remove class_prompt"},
    {"sample_size",
     Base::image,
     "sample_size: 512\n",
     {},
     "a.yaml:4:1: sample_size: not a size (found '512', expected width x height in multiples of "
     "8); write e.g. 512x768"},
    {"prompt_options",
     Base::image,
     "sample_prompts: a cat --n blurry\n",
     {},
     "a.yaml:4:1: sample_prompts: options inside a prompt are not read (found '--n' in 'a cat --n "
     "blurry'); use sample_negative, sample_size, sample_seed, sample_guidance and sample_steps"},
};

class BrokenConfig : public ConfigTest, public testing::WithParamInterface<Broken> {};

TEST_P(BrokenConfig, Message) {
  const Broken& row = GetParam();
  const std::string head = row.base == Base::text ? kText : (row.base == Base::image ? kImage : "");
  try {
    parse_config(head + row.yaml, "a.yaml", row.overrides);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), row.message);
    EXPECT_EQ(error.code(), Exit::usage);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, BrokenConfig, testing::ValuesIn(kBroken),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lora
