// SPDX-License-Identifier: Apache-2.0
// The rows of content_checks and form_checks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "data/shuffle.h"
#include "tests/check_report.h"
#include "versions/preflight.h"

namespace lora {
namespace {

std::vector<double> about(double mean, std::size_t count, std::int64_t seed) {
  Random random(seed, "about", 0);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(mean + 0.1 * (static_cast<double>(random.below(1000)) / 500 - 1));
  }
  return values;
}

DataStats pictures(std::int64_t count, std::int64_t seed) {
  DataStats stats;
  stats.kind = "pictures";
  stats.samples = count;
  for (const char* name :
       {"brightness", "contrast", "saturation", "colourfulness", "sharpness", "aspect"}) {
    stats.measures[name] = about(0.5, static_cast<std::size_t>(count), seed);
  }
  stats.terms.samples = {{"starli", count}, {"front view", count / 2}, {"side view", count / 2}};
  stats.terms.noise = 0.2;
  stats.shares = {{"trigger", 1}, {"trigger_first", 1}, {"tags", 1}, {"underscores", 0}};
  stats.trigger = "starli";
  stats.longest = 20;
  stats.settings = {{"resolution", 64}, {"buckets", 0}};
  return stats;
}

DataStats texts(std::int64_t count) {
  DataStats stats;
  stats.kind = "texts";
  stats.samples = count;
  stats.terms.samples = {{"lamp", count}, {"order", count}};
  stats.terms.noise = 0.2;
  stats.shares = {{"ends", 1}, {"begins", 1}, {"begins_twice", 0}, {"cut", 0}, {"answer_cut", 0}};
  stats.longest = 90;
  stats.template_markers = {"[INST]"};
  return stats;
}

PreflightInput increment(const DataStats& old, const DataStats& fresh) {
  PreflightInput in;
  const bool images = old.kind == "pictures";
  in.config.task_type = images ? "text-to-image" : "text-generation";
  in.config.images.resolution = 64;
  in.config.increment.replay = 0.5;
  in.config.text.prompt_template = "auto";
  in.config.text.max_seq_length = 128;
  in.parent = ParentFacts{.name = "v1", .manifest = Version{}, .data = old};
  in.parent->manifest->prompt_template.name = "llama2";
  in.data = fresh;
  in.pixels_per_latent = 8;
  in.leaked = in.known_before = in.trained_before = Overlap{0, 30, ""};
  return in;
}
PreflightInput of_pictures() { return increment(pictures(50, 1), pictures(30, 2)); }
PreflightInput of_texts() {
  PreflightInput in = increment(texts(50), texts(30));
  in.limits = TextLimits{.vocabulary = 100, .positions = 128};
  return in;
}

std::vector<CheckResult> results(const PreflightInput& in) {
  std::vector<CheckResult> out;
  for (const auto rows : {content_checks(), form_checks()}) {
    for (const CheckRow& row : rows) {
      auto result = row.check(in);
      if (!result) continue;
      result->id = row.id;
      out.push_back(*result);
    }
  }
  return out;
}

std::string report(const PreflightInput& in) { return test::report_of(results(in)); }

TEST(DataChecks, CleanIncrementsPassEveryRow) {
  EXPECT_EQ(report(of_pictures()), "");
  EXPECT_EQ(report(of_texts()), "");
  std::set<std::string> ids;
  for (const PreflightInput& in : {of_pictures(), of_texts()}) {
    for (const CheckResult& result : results(in)) ids.insert(result.id);
  }
  EXPECT_EQ(ids.size(), content_checks().size() + form_checks().size());
}

struct Fault {
  const char* name;
  bool pictures;
  std::function<void(PreflightInput&)> make;
  std::string message;
};
void PrintTo(const Fault& row, std::ostream* out) { *out << row.name; }

const Fault kFaults[] = {
    {"D01_eval", false,
     [](auto& in) {
       in.config.data.validation_data = "valid.jsonl";
       in.leaked = Overlap{2, 20, "valid.jsonl:3"};
     },
     "D01 error: validation_data: the validation loss would tell nothing of samples that are "
     "trained on as well (found 2 of 20 (first: valid.jsonl:3), expected none); remove these from "
     "one of the two sets\n"},
    {"D01_eval_old", true,
     [](auto& in) {
       in.known_before = Overlap{1, 8, "a.png"};
     },
     "D01 warning: validation: v1 was trained on samples of it, 1 of 8 (first: a.png); judge by "
     "others\n"},
    {"D01_old", true,
     [](auto& in) {
       in.trained_before = Overlap{7, 30, "a.png"};
     },
     "D01 warning: train_data_dir: 23 % of the samples are in v1's data already, 7 of 30 (first: "
     "a.png)\n"},
    {"D02_dark", true,
     [](auto& in) {
       in.data->measures["brightness"] = about(0.3, 30, 3);
       in.data->measures["sharpness"] = about(0.7, 30, 4);
     },
     "D02 warning: train_data_dir: the new pictures are 3.1 sd darker and 3.3 sd sharper than "
     "v1's, which would be learned as well; even them out, or, if this is meant, set "
     "expect_shift: [brightness, sharpness]\n"},
    {"D02_declared", true,
     [](auto& in) {
       in.data->measures["brightness"] = about(0.3, 30, 3);
       in.config.increment.expect_shift = {"brightness"};
     },
     ""},
    {"D03_new_word", true, [](auto& in) { in.data->terms.samples["hat"] = 30; },
     "D03 info: other captions than v1's: more: hat (0 -> 100 %)\n"},
    {"D03_declared", true,
     [](auto& in) {
       in.data->terms.samples["red hat"] = 30;
       in.config.increment.expect_shift = {"Hat"};
     },
     "D03 info: other captions than v1's, as declared: more: red hat (0 -> 100 %)\n"},
    {"D03_foreign", false,
     [](auto& in) {
       in.data->terms.samples = {{"clock", 30}, {"time", 20}};
     },
     "D03 warning: train_data_dir: the new texts have little in common with v1's: more: clock "
     "(0 -> 100 %), time (0 -> 67 %); fewer: lamp (100 -> 0 %), order (100 -> 0 %); if this is "
     "meant, set expect_shift: [clock, time]\n"},
    {"D03_unknown", false, [](auto& in) { in.parent->data.reset(); },
     "D03 info: v1 has no data_stats.json of such data; the data cannot be compared with it\n"},
    {"D04_gap", true,
     [](auto& in) {
       in.config.increment.replay = 0;
       in.data->terms.samples.erase("front view");
     },
     "D03 info: other captions than v1's: fewer: front view (50 -> 0 %)\n"
     "D04 warning: train_data_dir: nothing in the new data shows 'front view' (in 50 % of v1's): "
     "what v1 learned of it is at risk; set replay: 0.5\n"},
    {"T02_gone", false, [](auto& in) { in.parent->data->shares["marker [INST]"] = 0.96; },
     "T02 error: train_data_dir: 96 % of v1's samples contain [INST], 0 % of the new ones; write "
     "it into the new data\n"},
    {"T02_twice", false, [](auto& in) { in.data->shares["marker [INST]"] = 0.96; },
     "T02 error: prompt_template: [INST] would stand twice around the texts (found it in 96 % of "
     "the samples, and the template auto writes it); remove it from the data\n"},
    {"T02_mixed", false, [](auto& in) { in.data->shares["marker ### Instruction"] = 0.5; },
     "T02 warning: train_data_dir: 50 % of the samples contain ### Instruction, the others do not; "
     "write all of them alike\n"},
    {"T03_no_end", false, [](auto& in) { in.data->shares["ends"] = 0.2; },
     "T03 error: train_data_dir: answers do not end as v1's did (found the end token behind 20 % "
     "of them, expected 100 %); label the end token in all of them, or in none\n"},
    {"T03_T05_cut", false,
     [](auto& in) {
       in.data->shares["ends"] = 0.2;
       in.data->shares["cut"] = in.data->shares["answer_cut"] = 0.8;
       in.data->longest = 300;
     },
     "T03 error: train_data_dir: answers do not end as v1's did (found the end token behind 20 % "
     "of them, expected 100 %); they are cut: set max_seq_length: 300\n"
     "T05 error: max_seq_length: 80 % of the answers are cut (the longest sample has 300 tokens, "
     "expected at most 128); set max_seq_length: 300\n"},
    {"T03_begin", false, [](auto& in) { in.data->shares["begins_twice"] = 1; },
     "T03 error: train_data_dir: the token for the begin stands twice in 100 % of the samples "
     "(expected 0 %, as v1); write the new data alike\n"},
    {"T04_trigger", true, [](auto& in) { in.data->shares["trigger"] = 19.0 / 30; },
     "T04 warning: trigger_word: 'starli' is missing in 11 of 30 captions (v1: in all); set "
     "trigger_word: starli\n"},
    {"T04_no_trigger", true, [](auto& in) { in.data->shares["trigger"] = 0; },
     "T04 error: trigger_word: 'starli' is missing in 30 of 30 captions (v1: in all); set "
     "trigger_word: starli\n"},
    {"T04_sentences", true, [](auto& in) { in.data->shares["tags"] = 0.1; },
     "T04 warning: train_data_dir: the captions are sentences (90 %; v1's were lists of tags, 100 "
     "%); write them alike\n"},
    {"T05_prompts", false,
     [](auto& in) {
       in.data->shares["cut"] = 0.5;
       in.data->longest = 200;
     },
     "T05 warning: max_seq_length: 50 % of the prompts are cut (the longest sample has 200 tokens, "
     "expected at most 128); set max_seq_length: 200\n"},
    {"T05_captions", true,
     [](auto& in) {
       in.data->shares["cut"] = 0.4;
       in.data->longest = 80;
     },
     "T05 warning: max_token_length: 12 of 30 captions lose their end (found up to 80 tokens, "
     "expected at most 75); set max_token_length: 150\n"},
    {"P01_block", true, [](auto& in) { in.config.images.resolution = 60; },
     "P01 error: resolution: not a multiple of the 8 pixels that this VAE takes together (found "
     "60); set resolution: 56\n"},
    {"P01_other", true, [](auto& in) { in.data->settings["resolution"] = 128; },
     "P01 warning: resolution: v1 was trained with 64, this run with 128; set resolution: 64\n"},
    {"P01_buckets", true, [](auto& in) { in.data->settings["buckets"] = 1; },
     "P01 warning: buckets: v1 was trained with false, this run with true; set buckets: false\n"},
    {"P01_manifest", true,
     [](auto& in) {
       in.parent->data.reset();
       in.parent->manifest->recipe.resolution = 128;
     },
     "D03 info: v1 has no data_stats.json of such data; the data cannot be compared with it\n"
     "P01 warning: resolution: v1 was trained with 128, this run with 64; set resolution: 128\n"},
    {"P02_small", true, [](auto& in) { in.data->too_small = 10; },
     "P02 warning: resolution: 10 of 40 pictures are smaller than 64 and are left out; lower "
     "resolution, or enlarge them with `lora prepare images --upscale`\n"},
    {"P02_aspect", true, [](auto& in) { in.data->measures["aspect"] = about(0.8, 30, 3); },
     "P02 warning: train_data_dir: the new pictures are wider than v1's (5.5 sd of width / "
     "height), so that other parts are cropped; if this is meant, set expect_shift: [aspect]\n"},
};

class DataFault : public testing::TestWithParam<Fault> {};

TEST_P(DataFault, Message) {
  PreflightInput in = GetParam().pictures ? of_pictures() : of_texts();
  GetParam().make(in);
  EXPECT_EQ(report(in), GetParam().message);
}
INSTANTIATE_TEST_SUITE_P(Table, DataFault, testing::ValuesIn(kFaults),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(DataChecks, Novelty) {
  PreflightInput in = of_texts();
  EXPECT_EQ(novelty(in, 1, 1.01).verdict, Verdict::warning);
  EXPECT_EQ(novelty(in, 1, 2).verdict, Verdict::ok);
  EXPECT_EQ(novelty(in, 1, 5).verdict, Verdict::ok);  // replay
  in.config.increment.replay = 0;
  EXPECT_EQ(novelty(in, 0.4, 2).message,
            "train_data_dir: v1's loss on the new data is 5.00 times that on its own (found 2, its "
            "own 0.4): much will be overwritten; set replay: 0.5");
}

}  // namespace
}  // namespace lora
