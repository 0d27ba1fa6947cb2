// SPDX-License-Identifier: Apache-2.0
// Training texts through the program: dated templates, folders, columns, what is checked before the
// start.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli/run.h"

namespace lora::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

// A copy of the base whose file `name` is changed.
void change_base(const Workplace& place, const std::string& copy, const std::string& name,
                 const std::function<void(json&)>& change) {
  if (!place.has(copy)) std::filesystem::copy(place.base(), place / copy);
  json file = json::parse(place.read(copy + "/" + name));
  change(file);
  place.write(copy + "/" + name, file.dump());
}

json manifest(const Workplace& place, const std::string& version) {
  return json::parse(place.read("output/" + version + "/version.json"));
}

// The second stands for the day: its next one comes soon.
void make_dated_base(const Workplace& place) {
  change_base(place, "base", "tokenizer_config.json", [](json& config) {
    config["chat_template"] =
        "{{ '[Today is ' + strftime_now('%d %b %Y, %H:%M:%S') + ']' }}"
        "{% for m in messages %}{{ m.content }}{{ eos_token if m.role == 'assistant' else ' ' }}"
        "{% endfor %}";
  });
}

TEST(CliTexts, ADatedTemplateIsTheSameTheNextDay) {
  const Workplace place;
  make_dated_base(place);
  const Ran first = place.train("v1.yaml", {"base_model=base"});
  ASSERT_EQ(first.code, 0) << first.err;
  const std::string date = manifest(place, "v1")["template"]["date"];
  EXPECT_THAT(date, testing::MatchesRegex("20..-..-.. ..:..:.."));
  EXPECT_THAT(place.read("output/v1/config.resolved.yaml"), HasSubstr("template_date: \"" + date + "\"\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  const Ran second = place.train("v2.yaml", {"base_model=base"});
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(manifest(place, "v2")["template"]["date"], date);
  EXPECT_EQ(manifest(place, "v2")["template"]["probe_sha256"],
            manifest(place, "v1")["template"]["probe_sha256"]);
  // Another day by wish is another rendering of the same format.
  const Ran third = place.train(
      "v2.yaml", {"base_model=base", "output_dir=./output/v3", "template_date=2020-01-31"});
  ASSERT_EQ(third.code, 0) << third.err;
  EXPECT_EQ(manifest(place, "v3")["template"]["date"], "2020-01-31 00:00:00");
}

TEST(CliTexts, ADatedRunGoesOnTheNextDay) {
  const Workplace place;
  make_dated_base(place);
  const std::vector<std::string> arguments = {"train", "--config", "v1.yaml", "base_model=base",
                                              "max_steps=60", "save_steps=4"};
  {
    Program program = place.start(arguments);
    ASSERT_TRUE(program.wait_until([&] { return place.has("output/v1/checkpoints/step-000004"); }));
    program.send(SIGINT);
    EXPECT_EQ(program.wait().code, 130);
  }
  const std::string begun = place.read("output/v1/config.resolved.yaml");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  std::vector<std::string> again = arguments;
  again.push_back("--resume");
  const Ran resumed = place.lora(again);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(place.read("output/v1/config.resolved.yaml"), begun);
}

TEST(CliTexts, OfAFolderTheTrainingFilesAreRead) {
  const Workplace place;
  std::filesystem::create_directory(place / "data");
  std::filesystem::rename(place / "old.jsonl", place / "data/train.jsonl");
  std::filesystem::rename(place / "eval.jsonl", place / "data/valid.jsonl");
  place.write("data/LICENSE.txt", "Permission is granted.");
  place.write("data/more.parquet", "PAR1");
  const Ran ran =
      place.train("v1.yaml", {"train_data_dir=data", "validation_data=data", "--check"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("data: 24 samples of data (alpaca)"));
  EXPECT_THAT(ran.err, HasSubstr("validation: 4 samples"));
  EXPECT_THAT(ran.err, HasSubstr("data: left out: valid.jsonl (another split of the data"));
  EXPECT_THAT(ran.err, HasSubstr("data: left out: LICENSE.txt (about the data, not data)"));
  EXPECT_THAT(ran.err, HasSubstr("data/more.parquet: left out: Parquet is not read; convert it"));
}

TEST(CliTexts, BadRecordsAreCountedInTheManifest) {
  const Workplace place;
  place.write("old.jsonl", place.read("old.jsonl") + "{\"instruction\": \"x\",\n");
  const Ran ran = place.train("v1.yaml", {});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("old.jsonl:25: left out: not valid JSON"));
  EXPECT_THAT(ran.err, HasSubstr("data: 1 of 25 records are left out as unusable"));
  EXPECT_EQ(manifest(place, "v1")["data"]["left_out"], 1);
  const Ran strict = place.train("v1.yaml", {"output_dir=./output/v9", "bad_records=0"});
  EXPECT_EQ(strict.code, 2);
  EXPECT_THAT(strict.err, HasSubstr("lora: old.jsonl:25: not valid JSON; check quotes"));
  // Replay reads the same file again.
  const Ran next = place.train("v2.yaml", {});
  EXPECT_EQ(next.code, 0) << next.err;
}

TEST(CliTexts, APaddingTokenWithoutARowDoesNoHarm) {
  const Workplace place;
  const std::int64_t rows = json::parse(read_file(place.base() + "/config.json"))["vocab_size"];
  change_base(place, "base", "tokenizer.json", [&](json& file) {
    json token = file["added_tokens"][0];
    token["id"] = rows;
    token["content"] = "[PAD]";
    file["added_tokens"].push_back(token);
  });
  change_base(place, "base", "tokenizer_config.json",
              [](json& config) { config["pad_token"] = "[PAD]"; });
  const Ran plain = place.train("v1.yaml", {});
  ASSERT_EQ(plain.code, 0) << plain.err;
  const Ran padded = place.train("v1.yaml", {"base_model=base", "output_dir=./output/padded"});
  ASSERT_EQ(padded.code, 0) << padded.err;
  EXPECT_EQ(json::parse(place.read("output/padded/version.json"))["weights"]["tensor_sha256"],
            manifest(place, "v1")["weights"]["tensor_sha256"]);
  const Ran eval = place.lora({"eval", "--base", "base", "--data", "old.jsonl", "--json"});
  EXPECT_EQ(eval.code, 0) << eval.err;
  // In the data it has nothing to be learned with.
  place.write("old.jsonl", place.read("old.jsonl") +
                               "{\"instruction\": \"x\", \"output\": \"a [PAD] b\"}\n");
  const Ran ran = place.train("v1.yaml", {"base_model=base", "output_dir=./output/v9", "--check"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("preflight T06: train_data_dir: token '[PAD]' has no row in the "
                                 "model (found id 2048, expected 0 to 2047)"));
}

TEST(CliTexts, SamplesBeyondTheModelsPositionsAreSaidBeforeTheStart) {
  const Workplace place;
  change_base(place, "base", "config.json",
              [](json& config) { config["max_position_embeddings"] = 32; });
  const Ran ran = place.train("v1.yaml", {"base_model=base", "--check"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("into a model of 32 positions, beyond which it was not trained"));
}

TEST(CliTexts, EvalKnowsTheColumnsOfTheVersion) {
  const Workplace place;
  std::string text;
  for (int i = 0; i < 8; ++i) {
    text += join("{\"question\": \"Q", i, "?\", \"answer\": \"A", i, ".\"}\n");
  }
  place.write("named.jsonl", text);
  const Ran train = place.train("v1.yaml", {"train_data_dir=named.jsonl",
                                            "columns={instruction: question, output: answer}"});
  ASSERT_EQ(train.code, 0) << train.err;
  const std::vector<std::string> eval = {"eval",   "--base",      place.base(), "--data",
                                         "named.jsonl", "--json"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), eval.begin(), eval.end());
    return place.lora(more);
  };
  EXPECT_EQ(with({"--version", "v1"}).code, 0);
  EXPECT_EQ(with({"--column", "instruction=question", "--column", "output=answer"}).code, 0);
  const Ran unnamed = with({});
  EXPECT_EQ(unnamed.code, 2);
  EXPECT_THAT(unnamed.err, HasSubstr("no known format fits (found the fields question, answer;"));
  const Ran wrong = with({"--column", "question"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("lora eval: --column: 'question' has no role and name"));
}

}  // namespace
}  // namespace lora::test
