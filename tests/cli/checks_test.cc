// SPDX-License-Identifier: Apache-2.0
// Preflight with the files of the examples: every mistake is told before the first step, what the
// message says to do works as it stands, and clean runs are not warned.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "base/text.h"
#include "data/shuffle.h"
#include "io/image.h"
#include "tests/cli/run.h"

namespace lora::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;
using Words = std::vector<std::string>;

Path examples() { return Path(LORA_SOURCE_DIR) / "examples"; }

// Pictures `from` to `to` of a folder of the example, drawn over by `change`, their captions
// rewritten by `caption`.
void copy_pictures(const std::string& set, const std::string& name, const std::vector<int>& chosen,
                   const std::function<Image(const Image&)>& change = {},
                   const std::function<std::string(std::string)>& caption = {}) {
  const Words rows = split(trim(read_file(examples() / "sd" / set / "metadata.csv")), '\n');
  std::string table = rows[0] + "\n";
  for (const int i : chosen) {
    const std::string& row = rows.at(static_cast<std::size_t>(i) + 1);
    const std::string file = row.substr(0, row.find(','));
    const Image image = read_image(examples() / "sd" / set / file).image;
    write_png(workplace() / name / file, change ? change(image) : image);
    table += (caption ? caption(row) : row) + "\n";
  }
  workplace().write(name + "/metadata.csv", table);
}

std::vector<int> numbers(int from, int to) {
  std::vector<int> list;
  for (int i = from; i < to; ++i) list.push_back(i);
  return list;
}

Image darker(const Image& image) {
  Image out = image;
  for (std::uint8_t& value : out.rgb) value = static_cast<std::uint8_t>(value / 3);
  return out;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
  return text;
}

// Lines [from, to) of a file of letters.
void copy_letters(const std::string& file, const std::string& name, const std::vector<int>& chosen,
                  const std::function<std::string(std::string)>& change = {}) {
  const Words lines = split(read_file(examples() / "llm" / file), '\n');
  std::string text;
  for (const int i : chosen) {
    const std::string& line = lines.at(static_cast<std::size_t>(i));
    text += (change ? change(line) : line) + "\n";
  }
  workplace().write(name, text);
}

// Letters as token lists whose labels lack, or have, the token that ends an answer.
void write_tokens(const std::string& name, bool with_end) {
  std::string text;
  for (int i = 0; i < 24; ++i) {
    json ids = {1}, labels = {-100};
    for (int k = 0; k < 40; ++k) {
      ids.push_back(100 + (i * 41 + k) % 150);
      labels.push_back(k < 20 ? json(-100) : ids.back());
    }
    ids.push_back(2);
    labels.push_back(with_end ? 2 : -100);
    text += json{{"input_ids", ids}, {"labels", labels}}.dump() + "\n";
  }
  workplace().write(name, text);
}

// Questions that have no word in common with the letters.
void write_foreign(const std::string& name) {
  const char* trees[] = {"Eiche", "Buche", "Linde", "Birke"};
  std::string text;
  for (int i = 0; i < 24; ++i) {
    const std::string tree = trees[i % 4];
    text += json{{"instruction", "Wie hoch wird eine " + tree + " im Wald?"},
                 {"output", "Eine " + tree + " wird meist drei Dutzend Meter hoch."}}
                .dump() +
            "\n";
  }
  workplace().write(name, text);
}

void damage(const Path& file) {
  std::string bytes = read_file(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x10);
  std::ofstream(file, std::ios::binary) << bytes;
}

// Everything that the mistakes need, beside v1: sd_v1 of 30 front views, and its increment.
const Workplace& prepared() {
  static const bool done = [] {
    const Workplace& place = workplace();
    copy_pictures("starli_v1", "front", numbers(0, 30));
    copy_pictures("starli_v2", "side", numbers(0, 20));
    const std::string common = "base_model: " + (examples() / "sd/base").string() +
                               "\nbatch_size: 2\nmixed_precision: no\nthreads: 1\nresolution: 64\n";
    place.write("sd_v1.yaml", common +
                                  "train_data_dir: front\noutput_dir: ./output/sd_v1\n"
                                  "trigger_word: starli\nlearning_rate: 1e-3\nmax_steps: 30\n");
    place.write("sd_v2.yaml", common +
                                  "train_data_dir: side\noutput_dir: ./output/sd_v2\nreplay: 0.5\n"
                                  "init_lora_weights: sd_v1\nmax_steps: 30\n"
                                  "trigger_word: starli\n");
    const Ran trained = place.train("sd_v1.yaml", {});
    if (trained.code != 0) fail(trained.err);
    fs::copy(place.base(), place / "other", fs::copy_options::recursive);
    damage(place / "other/model.safetensors");
    fs::copy(place / "output/v1", place / "flipped", fs::copy_options::recursive);
    damage(place / "flipped/pytorch_lora_weights.safetensors");
    const auto marked = [](std::string line) {
      return replaced(line, "\"input\": \"", "\"input\": \"[INST] ");
    };
    copy_letters("support_v2/train.jsonl", "marked.jsonl", numbers(0, 24), marked);
    copy_letters("support_v2/train.jsonl", "leak.jsonl", numbers(20, 30));
    write_foreign("foreign.jsonl");
    write_tokens("endless.jsonl", false);
    write_tokens("ended.jsonl", true);
    copy_pictures("starli_v2", "dark", numbers(0, 20), darker);
    copy_pictures("starli_v2", "nameless", numbers(0, 20), {},
                  [](const std::string& row) { return replaced(row, "starli, ", ""); });
    int count = 0;
    copy_pictures("starli_v2", "mixed", numbers(0, 20),
                  [&](const Image& image) { return ++count <= 8 ? resize(image, 48, 48) : image; });
    place.lora({"prepare", "images", "--input", "mixed", "--output", "enlarged", "--resolution",
                "64", "--upscale"});
    return true;
  }();
  return done ? workplace() : workplace();
}

struct Mistake {
  std::string id;
  bool stops;  // else it warns
  std::string config;
  Words settings;
  std::string fix;  // part of the message; empty: "set KEY: VALUE", which the test carries out
  Words mended;     // settings where `fix` is carried out by hand
};
void PrintTo(const Mistake& row, std::ostream* out) { *out << row.id << " " << row.fix; }

const Mistake kMistakes[] = {
    {"W01",
     true,
     "v2.yaml",
     {"init_lora_weights=./flipped"},
     "restore it from a copy",
     {"init_lora_weights=v1"}},
    {"W02",
     true,
     "v2.yaml",
     {"output_dir=./output/v1"},
     "choose a new name",
     {"output_dir=./output/v3"}},
    {"W03", true, "v2.yaml", {"target_modules=q_proj"}, "remove target_modules", {}},
    {"W04", true, "v2.yaml", {"lora_rank=8"}, "", {}},
    {"W05", true, "v2.yaml", {"lora_alpha=4"}, "", {}},
    {"W06", true, "v2.yaml", {"target_modules=all-linear"}, "remove target_modules", {}},
    {"W07", true, "v2.yaml", {"base_model=other"}, "", {}},
    {"W10",
     true,
     "v2.yaml",
     {"init_lora_weights=sd_v1"},
     "name a version of the same kind",
     {"init_lora_weights=v1"}},
    {"T01", true, "v2.yaml", {"prompt_template=chatml"}, "", {}},
    {"L01", true, "v2.yaml", {"learning_rate=3e-3"}, "", {}},
    {"L03", false, "v2.yaml", {"max_steps=22", "warmup_steps=0"}, "", {}},
    {"E01", true, "v2.yaml", {"max_steps=200"}, "", {}},
    {"E02", false, "v2.yaml", {"max_steps=6"}, "", {}},
    {"R01", false, "v2.yaml", {"replay=0"}, "", {}},
    {"D01",
     true,
     "v2.yaml",
     {"validation_data=leak.jsonl"},
     "remove these from one of the two sets",
     {"validation_data=eval.jsonl"}},
    {"D01",
     false,
     "v2.yaml",
     {"train_data_dir=old.jsonl"},
     "% of the samples are in v1's data",
     {"train_data_dir=new.jsonl"}},
    {"D02", false, "sd_v2.yaml", {"train_data_dir=dark"}, "", {}},
    {"D03", false, "v2.yaml", {"train_data_dir=foreign.jsonl"}, "", {}},
    {"D04", false, "sd_v2.yaml", {"replay=0", "max_steps=20"}, "", {}},
    {"T02", true, "v1.yaml", {"train_data_dir=marked.jsonl", "output_dir=./output/v3"}, "", {}},
    {"T02",
     true,
     "v2.yaml",
     {"train_data_dir=marked.jsonl"},
     "remove it from the data",
     {"train_data_dir=new.jsonl"}},
    {"T03",
     true,
     "v2.yaml",
     {"train_data_dir=endless.jsonl"},
     "label the end token in all of them",
     {"train_data_dir=ended.jsonl"}},
    {"T04", true, "sd_v2.yaml", {"train_data_dir=nameless", "trigger_word="}, "", {}},
    {"T05", true, "v2.yaml", {"max_seq_length=100"}, "", {}},
    {"P01", false, "sd_v2.yaml", {"resolution=32"}, "", {}},
    {"P02",
     false,
     "sd_v2.yaml",
     {"train_data_dir=mixed", "max_steps=20"},
     "`lora prepare images --upscale`",
     {"train_data_dir=enlarged", "max_steps=20"}},
};

// The line of `id` in a report; "" where the check is content.
std::string line_of(const std::string& report, const std::string& id) {
  for (const std::string& line : split(report, '\n')) {
    for (const std::string& begin : {"  " + id + " ", "preflight " + id + ": "}) {
      if (line.find(begin) != std::string::npos && line.find(id + " info") == std::string::npos) {
        return line;
      }
    }
  }
  return "";
}

// `settings`, with what the message says in "set KEY: VALUE".
Words mended(const Words& settings, const std::string& message) {
  std::smatch found;
  const std::regex remedy(R"(set (\w+): (\[[^\]]*\]|[^\s,;]+))");
  if (!std::regex_search(message, found, remedy)) return {};
  Words out = settings;
  std::erase_if(out, [&](const std::string& pair) { return pair.starts_with(found.str(1) + "="); });
  out.push_back(found.str(1) + "=" + found.str(2));
  return out;
}

class CliChecks : public testing::TestWithParam<Mistake> {
 protected:
  static Ran check(const std::string& config, Words settings) {
    settings.push_back("--check");
    return prepared().train(config, settings);
  }
};

TEST_P(CliChecks, AMistakeIsToldAndItsRemedyWorks) {
  const Mistake& mistake = GetParam();
  const Ran wrong = check(mistake.config, mistake.settings);
  const std::string line = line_of(wrong.err, mistake.id);
  EXPECT_EQ(wrong.code, mistake.stops ? 2 : 0) << wrong.err;
  ASSERT_NE(line, "") << wrong.err;
  EXPECT_THAT(line, HasSubstr(mistake.fix));
  Words settings = mistake.mended;
  if (mistake.fix.empty()) {
    settings = mended(mistake.settings, line);
    ASSERT_FALSE(settings.empty()) << line;
  }
  const Ran right = check(mistake.config, settings);
  EXPECT_EQ(right.code, 0) << join_words(settings) << "\n" << right.err;
  EXPECT_EQ(line_of(right.err, mistake.id), "");
  std::smatch word;
  const std::regex allow(R"(allow: \[([a-z-]+)\])");
  if (!std::regex_search(line, word, allow)) return;
  settings = mistake.settings;
  settings.push_back("allow=[" + word.str(1) + "]");
  const Ran allowed = check(mistake.config, settings);
  EXPECT_EQ(allowed.err.find("preflight " + mistake.id), std::string::npos) << allowed.err;
  EXPECT_THAT(allowed.err, HasSubstr(mistake.id + " allowed "));
}
INSTANTIATE_TEST_SUITE_P(Table, CliChecks, testing::ValuesIn(kMistakes), [](const auto& info) {
  return info.param.id + "_" + std::to_string(info.index);
});

// Twenty increments of the same kind of data: other samples, seeds and splits.
TEST_F(CliChecks, CleanRunsAreNotWarned) {
  int warnings = 0;
  std::string told;
  for (int run = 0; run < 20; ++run) {
    const bool images = run % 2 == 1;
    std::vector<int> chosen = images ? numbers(0, 30) : numbers(0, 100);
    shuffle(chosen, Random(run, "clean", 0));
    chosen.resize(images ? 20 : 40);
    const std::string name = join("clean_", run, images ? "" : ".jsonl");
    if (images) {
      copy_pictures("starli_v2", name, chosen);
    } else {
      copy_letters("support_v2/train.jsonl", name, chosen);
    }
    const Ran ran = check(
        images ? "sd_v2.yaml" : "v2.yaml",
        {"train_data_dir=" + name, join("seed=", run), images ? "max_steps=30" : "max_steps=20",
         run % 4 < 2 ? "validation_split=0.1" : "validation_split=0.2"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    for (const std::string& line : split(ran.err, '\n')) {
      if (!std::regex_search(line, std::regex("^  [A-Z][0-9]{2} warning"))) continue;
      ++warnings;
      told += name + ":" + line + "\n";
    }
  }
  EXPECT_LE(warnings, 1) << told;
  RecordProperty("warnings", warnings);
}

TEST_F(CliChecks, ErrorsAreToldOnceAndInJson) {
  const Words settings = {"lora_rank=8", "prompt_template=chatml"};
  const Ran text = check("v2.yaml", settings);
  for (const char* id : {"W04", "W05", "T01"}) {
    EXPECT_EQ(text.err.find(id), text.err.rfind(id)) << text.err;
  }
  const Ran ran = check("v2.yaml", {"lora_rank=8", "prompt_template=chatml", "--json"});
  EXPECT_EQ(ran.code, 2);
  const json report = json::parse(ran.out);
  EXPECT_EQ(report.at("passed"), false);
  EXPECT_GT(report.at("checks").size(), 15u);
}

TEST_F(CliChecks, ACheckDrawsNothingAndLeavesNothing) {
  const Ran ran =
      check("sd_v2.yaml", {"prior_preservation=true", "class_prompt=a girl", "num_class_images=2",
                           "output_dir=./elsewhere/v", "init_lora_weights=./output/sd_v1"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_FALSE(prepared().has("elsewhere/v"));
  EXPECT_FALSE(prepared().has("elsewhere/.cache/class_images"));
}

// v1's own letters hold nothing new for it.
TEST_F(CliChecks, NoveltyIsMeasuredOnceTheParentIsLoaded) {
  const Ran ran = prepared().train(
      "v2.yaml", {"train_data_dir=old.jsonl", "max_steps=1", "output_dir=./output/again"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("D05: train_data_dir: v1's loss on the new data is 1.00 times"));
  EXPECT_THAT(ran.err, HasSubstr("there is little to learn"));
}

TEST_F(CliChecks, AParentWithoutStatisticsIsNoError) {
  fs::copy(prepared() / "output/v1", prepared() / "bare", fs::copy_options::recursive);
  fs::remove(prepared() / "bare/data_stats.json");
  const Ran ran = check("v2.yaml", {"init_lora_weights=./bare", "allow=[parent-changed]"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("D03 info    bare has no data_stats.json of such data"));
}

}  // namespace
}  // namespace lora::test
