// SPDX-License-Identifier: Apache-2.0
// Every kind of base model and every way in which its weights are stored.
#include <cmath>

#include "models/families.h"
#include "tests/cli/smoke.h"
#include "tests/sd/rewritten.h"

namespace lora::test {
namespace {

Path language_model(const std::string& name) { return inputs() / "llm" / name; }

TEST(CliSmokeBases, EveryFamilyOfLanguageModels) {
  const Workplace place;
  std::vector<Words> commands;
  std::vector<double> expected;
  for (const Family& family : lora::families()) {
    const std::string name(family.name);
    fs::copy(language_model(name) / "model", place / name);
    write_tokenizer(place / name);
    place.write(name + ".jsonl", golden_batch(name));
    commands.push_back(eval(name, name + ".jsonl"));
    const Json facts = Json::parse(read_file(language_model(name) / "forward.json"));
    expected.push_back(facts.at("loss_mean"));
  }
  const std::vector<Ran> results = run_each(place, commands);
  for (std::size_t i = 0; i < results.size(); ++i) {
    SCOPED_TRACE(commands[i][2]);
    EXPECT_NEAR(loss_of(results[i]), expected[i], 1e-4);
  }
}

TEST(CliSmokeBases, LanguageModelsInHalfPrecisionAndInShards) {
  const Workplace place;
  const TensorMap weights = read_tensors(language_model("llama/model") / "model.safetensors");
  place.write("a.jsonl", golden_batch("llama"));
  const std::vector<std::pair<std::string, at::ScalarType>> rows = {
      {"sharded", at::kFloat}, {"f16", at::kHalf}, {"bf16", at::kBFloat16}};
  std::vector<Words> commands;
  for (const auto& [name, type] : rows) {
    fs::create_directory(place / name);
    fs::copy(language_model("llama/model") / "config.json", place / name);
    write_tokenizer(place / name);
    write_tensors(place / name / "model.safetensors", in_type(weights, type));
    if (name == "sharded") split_shards(place / name, "model", 3, "");
    commands.push_back(eval(name, "a.jsonl"));
  }
  const std::vector<Ran> results = run_each(place, commands);
  const Json facts = Json::parse(read_file(language_model("llama") / "forward.json"));
  const double exact = facts.at("loss_mean");
  EXPECT_NEAR(loss_of(results[0]), exact, 1e-4);
  EXPECT_NEAR(loss_of(results[1]), exact, 1e-2);
  EXPECT_NEAR(loss_of(results[2]), exact, 5e-2);
}

// A tiny folder of the kind; "" where there is none.
std::string folder_of(const Workplace& place, SdKind kind) {
  switch (kind) {
    case SdKind::sd1:
      return sd_golden("tiny-sd15");
    case SdKind::sd2:
      return sd2_folder(place / "sd2");
    case SdKind::sdxl:
      return sd_golden("sdxl/tiny-sdxl");
  }
  return "";
}

// A step of training, and one more from the adapter in kohya's form.
TEST(CliSmokeBases, EveryKindOfStableDiffusion) {
  const Workplace place;
  write_captioned(place, "pictures");
  std::vector<Words> first, second;
  for (const SdKindRow* row : sd_kinds()) {
    const std::string name = join("v", first.size());
    place.write(name + ".yaml", join("task_type: text-to-image\nbase_model: ",
                                     folder_of(place, row->kind), "\nresolution: 64\n",
                                     "train_data_dir: pictures\nmax_steps: 1\nthreads: 1\n"));
    const Words words = {"train", "--config", name + ".yaml", "--json",
                         "output_dir=output/" + name};
    first.push_back(words);
    second.push_back(words);
    second.back().back() += "b";
    second.back().push_back(join("init_lora_weights=output/", name, "/", name, ".safetensors"));
  }
  const std::vector<Ran> trained = run_each(place, first), again = run_each(place, second);
  ASSERT_EQ(trained.size(), 3U);
  for (std::size_t i = 0; i < trained.size(); ++i) {
    const SdKindRow& row = *sd_kinds()[i];
    SCOPED_TRACE(row.name);
    EXPECT_GT(json_of(trained[i]).at("metrics").at("loss").get<double>(), 0);
    EXPECT_THAT(trained[i].err, testing::HasSubstr(join("\nmodel: ", row.name, ", ")));
    EXPECT_EQ(json_of(again[i]).at("steps"), 1);
    EXPECT_THAT(again[i].err, testing::HasSubstr("\nwarm start: "));
  }
}

TEST(CliSmokeBases, StableDiffusionInHalfPrecisionAndInShards) {
  const Workplace place;
  write_captioned(place, "pictures");
  const Names names = {"f32", "f32_shards", "fp16", "fp16_shards"};
  std::vector<Words> commands;
  for (const std::string& name : names) {
    const Path base = copy_of_base(place / name);
    const std::string variant = name.starts_with("fp16") ? ".fp16" : "";
    for (const auto& [part, stem] : kParts) {
      const Path whole = base / part / (stem + ".safetensors");
      if (!variant.empty()) {
        write_tensors(base / part / (stem + variant + ".safetensors"),
                      in_type(read_tensors(whole), at::kHalf));
        fs::remove(whole);
      }
      if (name.ends_with("_shards")) split_shards(base / part, stem, 2, variant);
    }
    commands.push_back(eval(name, "pictures"));
  }
  // Half precision holds the weights of the tiny model exactly.
  const std::vector<Ran> results = run_each(place, commands);
  for (const Ran& ran : results) {
    EXPECT_EQ(loss_of(ran), loss_of(results[0]));
    EXPECT_EQ(json_of(ran).at("pictures"), 1);
  }
}

}  // namespace
}  // namespace lora::test
