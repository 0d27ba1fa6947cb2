// SPDX-License-Identifier: Apache-2.0
#include "versions/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "config/fields.h"
#include "io/safetensors.h"
#include "tests/check_report.h"
#include "versions/hash_base.h"

namespace lora {
namespace {

// An increment without a fault: rank 8, alpha 16, q_proj and v_proj of one layer.
PreflightInput clean() {
  PreflightInput in;
  in.config.task_type = "text-generation";
  in.config.output_dir = "output/v2";
  in.config.adapter.init_lora_weights = "v1";
  in.config.increment.replay = 0.5;
  in.config.increment.retain = "replay";
  in.config.length.epochs = 3;
  Version v1;
  v1.name = "v1";
  v1.task_type = "text-generation";
  v1.weights.rank = 8;
  v1.weights.alpha = 16;
  v1.base.sha256 = "6ce0aaaaaa";
  v1.base.path = "models/v1-5";
  v1.prompt_template = {.name = "llama2", .probe_sha256 = "aa"};
  v1.recipe.peak_learning_rate = 1e-4;
  v1.recipe.optimizer = "adamw";
  v1.recipe.epochs = 6;
  ParentFacts parent{.name = "v1", .weights = "output/v1/pytorch_lora_weights.safetensors"};
  parent.manifest = v1;
  parent.modules = {{"q_proj", {8, 16.0}}, {"v_proj", {8, 16.0}}};
  in.parent = parent;
  in.folder = FolderFacts{};
  in.places = std::vector<std::string>{"q_proj", "v_proj"};
  in.base = v1.base;
  in.prompt_template = v1.prompt_template;
  in.total_steps = 100;
  in.trainable = 1000;
  in.passes = 4;
  return in;
}

std::string report(const PreflightInput& in) { return test::report_of(run_preflight(in)); }

TEST(Preflight, ACleanIncrementPassesEveryCheck) {
  const auto results = run_preflight(clean());
  EXPECT_EQ(report(clean()), "");
  EXPECT_EQ(results.size(), parent_checks().size() + run_checks().size());
  EXPECT_EQ(preflight_text(results), join("checks: ", results.size(), " ok"));
  require_passed(results);
}

TEST(Preflight, AFirstRunHasNoParentChecks) {
  PreflightInput in;
  in.trainable = 10;
  in.total_steps = 100;
  EXPECT_EQ(report(in), "");
  EXPECT_EQ(run_preflight(in).size(), 2u);
}

struct Fault {
  const char* name;
  std::function<void(PreflightInput&)> make;
  std::string message;
};
void PrintTo(const Fault& row, std::ostream* out) { *out << row.name; }

const Fault kFaults[] = {
    {"W01_changed",
     [](auto& in) { in.parent->problems = {"x.safetensors: does not match its recorded hash"}; },
     "W01 error: init_lora_weights: parent v1 does not match what was recorded of it "
     "(x.safetensors: does not match its recorded hash); restore it from a copy (or pass it with "
     "`allow: [parent-changed]`)\n"},
    {"W02_overwrite", [](auto& in) { in.config.output_dir = "output/v1/"; },
     "W02 error: output_dir: would overwrite the version you start from (found 'output/v1/', which "
     "holds pytorch_lora_weights.safetensors); choose a new name\n"},
    {"W02_alone",
     [](auto& in) {
       in.config.output_dir = "output/v1";
       in.folder->refusal = "output/v1: this version exists";
     },
     "W02 error: output_dir: would overwrite the version you start from (found 'output/v1', which "
     "holds pytorch_lora_weights.safetensors); choose a new name\n"},
    {"W12_taken", [](auto& in) { in.folder->refusal = "output/v2: this version exists"; },
     "W12 error: output/v2: this version exists\n"},
    {"W03_some", [](auto& in) { in.places = std::vector<std::string>{"q_proj"}; },
     "W03 error: init_lora_weights: 1 of 2 modules in the file have no place in this model "
     "(v_proj); give its base model, or remove target_modules\n"},
    {"W03_none", [](auto& in) { in.places = std::vector<std::string>{"to_q"}; },
     "W03 error: init_lora_weights: none of the 2 modules in the file has a place in this model "
     "(first: q_proj); it was trained on another kind of model\n"},
    {"W03_text_encoder",
     [](auto& in) {
       in.parent->modules["text_encoder.q_proj"] = in.parent->modules["q_proj"];
     },
     "W03 error: init_lora_weights: 1 of 3 modules in the file adapt the text encoder, which this "
     "run does not train (text_encoder.q_proj); set train_text_encoder: true\n"},
    {"W03_nan", [](auto& in) { in.parent->modules["q_proj"].finite = false; },
     "W03 error: init_lora_weights: 1 of 2 modules hold numbers that are not finite (q_proj); "
     "continue from an earlier version\n"},
    {"W03_zero",
     [](auto& in) {
       for (auto& [name, facts] : in.parent->modules) facts.zero = true;
     },
     "W03 error: init_lora_weights: all 2 modules are zero; the file holds nothing that was "
     "learned: check that it is the right one\n"},
    {"W04_W05_rank", [](auto& in) { in.config.adapter.lora_rank = 16; },
     "W04 error: lora_rank: differs from the parent's (found 16, expected 8); set lora_rank: 8, or "
     "remove it, or add rank_policy: grow\n"
     "W05 error: lora_alpha: the effective scale would change every learned change by 0.5 (found "
     "1, expected 2); set lora_alpha: 16, or remove it\n"},
    {"W04_grow",
     [](auto& in) {
       in.config.adapter.lora_rank = 16;
       in.config.increment.rank_policy = "grow";
     },
     "W04 info: lora_rank: the parent's 8 grow to 16, computing the same\n"},
    {"W05_alpha", [](auto& in) { in.config.adapter.lora_alpha = 8; },
     "W05 error: lora_alpha: the effective scale would change every learned change by 0.5 (found "
     "1, expected 2); set lora_alpha: 16, or remove it\n"},
    {"W05_unknown",
     [](auto& in) {
       in.parent->manifest.reset();
       in.parent->name = "old.safetensors";
       for (auto& [name, facts] : in.parent->modules) facts.alpha.reset();
     },
     "W01 warning: init_lora_weights: old.safetensors has no version.json (found a file of another "
     "program); it is taken as it is, lineage: unknown\n"
     "W05 error: lora_alpha: old.safetensors does not say its alpha, so its strength is not known; "
     "set lora_alpha (many programs use 8, the rank)\n"},
    {"W06_added",
     [](auto& in) {
       in.config.adapter.target_modules = {"q_proj", "v_proj", "o_proj"};
       in.places = std::vector<std::string>{"q_proj", "v_proj", "o_proj"};
     },
     "W06 error: target_modules: 1 modules that the parent does not adapt (o_proj); remove "
     "target_modules to take the parent's\n"},
    {"W07_base",
     [](auto& in) {
       in.base->sha256 = "cc6cbbbbbb";
       in.base->path = "models/v2-1";
     },
     "W07 error: base_model: not the model that v1 was trained on (found cc6cbbbb in "
     "'models/v2-1', expected 6ce0aaaa as in 'models/v1-5'); set base_model: models/v1-5 (or pass "
     "it with `allow: [base-mismatch]`)\n"},
    {"W07_allowed",
     [](auto& in) {
       in.base->sha256 = "cc6cbbbbbb";
       in.config.increment.allow = {"base-mismatch"};
     },
     "W07 allowed: base_model: not the model that v1 was trained on (found cc6cbbbb in "
     "'models/v1-5', expected 6ce0aaaa as in 'models/v1-5'); set base_model: models/v1-5\n"},
    {"W09_nothing", [](auto& in) { in.trainable = 0; },
     "W09 error: target_modules: nothing would be trained (found 0 numbers, expected some); name "
     "modules that the model has\n"},
    {"W11_rank", [](auto& in) { in.config.adapter.rank_pattern = {{"qproj", 16}}; },
     "W11 error: rank_pattern: 'qproj' means no module that is trained (trained: q_proj, v_proj); "
     "did you mean 'q_proj'?\n"},
    {"W11_alpha",
     [](auto& in) { in.config.adapter.alpha_pattern = {{"q_proj", 8}, {"layers.9.v_proj", 8}}; },
     "W11 error: alpha_pattern: 'layers.9.v_proj' means no module that is trained (trained: "
     "q_proj, v_proj)\n"},
    {"T06_row",
     [](auto& in) { in.limits = {.vocabulary = 264, .largest_id = 264, .largest_token = "[PAD]"}; },
     "T06 error: train_data_dir: token '[PAD]' has no row in the model (found id 264, expected 0 "
     "to 263); take the tokenizer that belongs to the model, or remove the token from the data\n"},
    {"T07_rotary",
     [](auto& in) { in.limits = {.vocabulary = 9, .positions = 512, .longest = 830}; },
     "T07 warning: max_seq_length: samples of up to 830 tokens go into a model of 512 positions, "
     "beyond which it was not trained and is not used; set max_seq_length: 512\n"},
    {"T07_learned",
     [](auto& in) {
       in.limits = {.vocabulary = 9, .positions = 64, .learned = true, .longest = 182};
     },
     "T07 error: max_seq_length: samples of up to 182 tokens go into a model of 64 positions; set "
     "max_seq_length: 64\n"},
    {"W10_kind", [](auto& in) { in.parent->manifest->task_type = "text-to-image"; },
     "W10 error: init_lora_weights: v1 is an adapter for text-to-image (this run is "
     "text-generation); name a version of the same kind\n"},
    {"T01_template", [](auto& in) { in.prompt_template = TemplateRecord{.name = "plain"}; },
     "T01 error: prompt_template: texts are rendered differently than for v1 (found plain, "
     "expected "
     "llama2); set prompt_template: llama2 (or pass it with `allow: [template-change]`)\n"},
    {"T01_day",
     [](auto& in) {
       in.parent->manifest->prompt_template.string_sha256 = "cc";
       in.prompt_template = TemplateRecord{
           .name = "auto", .string_sha256 = "cc", .probe_sha256 = "bb", .date = "2026-01-31"};
     },
     ""},
    {"T01_other_day",
     [](auto& in) {
       in.parent->manifest->prompt_template.string_sha256 = "cc";
       in.parent->manifest->prompt_template.date = "2026-01-30";
       in.prompt_template = TemplateRecord{
           .name = "auto", .string_sha256 = "cc", .probe_sha256 = "bb", .date = "2026-01-31"};
     },
     "T01 error: prompt_template: texts are rendered differently than for v1 (found auto, expected "
     "llama2); set prompt_template: llama2 (or pass it with `allow: [template-change]`)\n"},
    {"L01_higher", [](auto& in) { in.config.optimisation.learning_rate = 2e-4; },
     "L01 error: learning_rate: higher than v1's (found 0.0002, expected 30 to 50 % of 0.0001); "
     "set "
     "learning_rate: 4e-05, or remove it (or pass it with `allow: [learning-rate]`)\n"},
    {"L01_equal", [](auto& in) { in.config.optimisation.learning_rate = 1e-4; },
     "L01 warning: learning_rate: hardly lower than v1's (found 0.0001, expected 30 to 50 % of "
     "0.0001); set learning_rate: 4e-05, or remove it\n"},
    {"L01_tiny", [](auto& in) { in.config.optimisation.learning_rate = 1e-6; },
     "L01 warning: learning_rate: 1e-06 is 1.0 % of v1's 0.0001, and may not learn; set "
     "learning_rate: 4e-05\n"},
    {"L01_optimizer",
     [](auto& in) {
       in.config.optimisation.optimizer = "lion";
       in.config.optimisation.learning_rate = 1e-5;
     },
     "L01 warning: optimizer: lion after adamw, so the learning rates cannot be compared; watch "
     "the first steps\n"},
    {"L02_adaptive", [](auto& in) { in.config.optimisation.optimizer = "prodigy"; },
     "L02 warning: optimizer: prodigy finds its own learning rate, so \"lower than the parent's\" "
     "has no meaning; use adamw\n"},
    {"L03_no_warmup", [](auto& in) { in.config.optimisation.warmup_steps = 0; },
     "L03 warning: warmup_steps: a fresh optimizer on a trained adapter forgets at its first steps "
     "(found 0 of 100 steps, expected at least 10 and 1 %); set warmup_steps: 10\n"},
    {"E01_more_than_parent", [](auto& in) { in.passes = 24; },
     "E01 error: epochs: each new sample would be seen 24 times (v1: 6); set epochs: 0.75 (or pass "
     "it with `allow: [epochs]`)\n"},
    {"E01_high_rank",
     [](auto& in) {
       in.parent->manifest->weights.rank = 64;
       in.parent->manifest->weights.alpha = 128;
       in.passes = 5;
     },
     "E01 warning: epochs: rank 64 and 5 passes forget most; lower one of them\n"},
    {"E02_short", [](auto& in) { in.total_steps = 12; },
     "E02 warning: epochs: only 12 optimizer steps, expected at least 20; set epochs: 5, or lower "
     "batch_size\n"},
    {"R01_unprotected",
     [](auto& in) {
       in.config.increment.replay = 0;
       in.config.increment.retain = "none";
     },
     "E01 warning: epochs: 4 passes, v1 had 6; increments without replay need 30 to 50 % of them; "
     "set epochs: 2.25\n"
     "R01 warning: replay: nothing protects what v1 learned; set replay: 0.5\n"},
    {"R02_data_gone", [](auto& in) { in.parent->replay_problems = {"train.jsonl: changed"}; },
     "R02 warning: replay: the parent's training data changed since (train.jsonl: changed); old "
     "samples are drawn from what is there\n"},
};

class PreflightFault : public testing::TestWithParam<Fault> {};

TEST_P(PreflightFault, Message) {
  PreflightInput in = clean();
  GetParam().make(in);
  EXPECT_EQ(report(in), GetParam().message);
}
INSTANTIATE_TEST_SUITE_P(Table, PreflightFault, testing::ValuesIn(kFaults),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Preflight, ErrorsAreToldTogether) {
  PreflightInput in = clean();
  in.config.adapter.lora_rank = 16;
  in.trainable = 0;
  try {
    require_passed(run_preflight(in));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    EXPECT_EQ(split(error.what(), '\n').size(), 3u);
    EXPECT_THAT(error.what(), testing::StartsWith("preflight W04: lora_rank: differs"));
  }
}

TEST(Preflight, ARefusalOfTheFolderKeepsItsExitCode) {
  for (const Exit code : {Exit::usage, Exit::integrity}) {
    PreflightInput in = clean();
    in.folder = FolderFacts{.refusal = "output/v2: gone", .code = code};
    try {
      require_passed(run_preflight(in));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_STREQ(error.what(), "preflight W12: output/v2: gone");
    }
  }
}

TEST(Preflight, TheFirstChecksNeedNeitherDataNorModel) {
  PreflightInput in = clean();
  in.places.reset();
  in.trainable.reset();
  in.config.adapter.lora_rank = 16;  // W04 waits for the others
  std::vector<std::string> ids;
  for (const CheckResult& result : run_first_checks(in)) {
    ids.push_back(join(result.id, " ", verdict_name(result.verdict)));
  }
  EXPECT_THAT(ids, testing::UnorderedElementsAre("W02 ok", "W10 ok", "W12 ok"));
}

// The words of the key `allow` are those of the checks.
TEST(Preflight, AllowKnowsEveryWord) {
  std::set<std::string> words;
  for (const CheckRow& row : all_checks()) {
    if (!row.allow.empty()) words.emplace(row.allow);
  }
  EXPECT_THAT(split(find_field("allow")->choices, ' '), testing::UnorderedElementsAreArray(words));
}

TEST(Preflight, AbsentSettingsAreTheParents) {
  Config config;
  config.adapter.lora_alpha = 4;
  WeightsRecord weights;
  weights.rank = 16;
  weights.alpha = 32;
  weights.dropout = 0.1;
  weights.targets = {"all-linear"};
  weights.rank_pattern = {{"down_proj", 4}};
  inherit(config, weights, 1e-3);
  EXPECT_EQ(config.adapter.lora_rank, 16);
  EXPECT_EQ(config.adapter.lora_alpha, 4);
  EXPECT_EQ(config.adapter.lora_dropout, 0.1);
  EXPECT_EQ(config.adapter.target_modules, weights.targets);
  EXPECT_EQ(config.adapter.rank_pattern, weights.rank_pattern);
  EXPECT_DOUBLE_EQ(config.optimisation.learning_rate.value(), 4e-4);
}

TEST(HashBase, WeightsTokenizerAndCache) {
  namespace fs = std::filesystem;
  const Path root = Path(testing::TempDir()) / ("hash_base_" + std::to_string(::getpid()));
  fs::remove_all(root);
  const float value = 1;
  const TensorView tensor{"a", DType::f32, {1}, reinterpret_cast<const std::byte*>(&value)};
  write_safetensors(root / "base/model.safetensors", {tensor}, {});
  write_file_atomic(root / "base/config.json", "{}");
  write_file_atomic(root / "base/tokenizer.json", "{}");
  HashCache cache(hash_cache_file(root));
  const BaseRecord first = describe_base(root / "base", cache);
  cache.save();
  EXPECT_EQ(first.format, "huggingface");
  EXPECT_EQ(first.tensors, 1);
  EXPECT_TRUE(fs::exists(hash_cache_file(root)));
  HashCache again(hash_cache_file(root));
  EXPECT_EQ(describe_base(root / "base", again).sha256, first.sha256);
  write_file_atomic(root / "base/tokenizer.json", "{ }");
  const BaseRecord other = describe_base(root / "base", again);
  EXPECT_EQ(other.sha256, first.sha256);
  EXPECT_NE(other.tokenizer_sha256, first.tokenizer_sha256);
  fs::remove_all(root);
}

}  // namespace
}  // namespace lora
