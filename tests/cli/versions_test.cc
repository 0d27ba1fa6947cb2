// SPDX-License-Identifier: Apache-2.0
// What is done with finished versions: eval, generate, inspect, export, import, log, show, verify.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "io/aten.h"
#include "io/tensors.h"
#include "tests/cli/run.h"
#include "tests/paths.h"

namespace lora::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

json json_of(const Ran& ran) {
  EXPECT_EQ(ran.code, 0) << ran.err;
  return json::parse(ran.out);
}

TEST(CliVersions, EvalOfOneAndOfSeveral) {
  const Workplace& place = workplace();
  const json one =
      json_of(place.lora({"eval", "--base", place.base(), "--data", "eval.jsonl", "--json"}));
  EXPECT_EQ(one.at("version"), "base");
  EXPECT_NEAR(one.at("perplexity").get<double>(), std::exp(one.at("loss").get<double>()), 1e-6);
  EXPECT_GT(one.at("tokens").get<int>(), 0);
  EXPECT_TRUE(one.at("exact_match").is_null());
  const json several =
      json_of(place.lora({"eval", "--base", place.base(), "--version", "v1", "--version", "base",
                          "--version", "output/v1/adapter_model.safetensors", "--data",
                          "eval.jsonl", "--data", "old.jsonl", "--exact-match", "--json"}))
          .at("results");
  ASSERT_EQ(several.size(), 6U);
  EXPECT_EQ(several[1].at("version"), "base");
  EXPECT_NEAR(several[1].at("loss").get<double>(), one.at("loss").get<double>(), 1e-9);
  EXPECT_LT(several[0].at("loss"), one.at("loss"));  // it learned something
  EXPECT_EQ(several[2].at("loss"), several[0].at("loss"));
  EXPECT_TRUE(several[0].at("exact_match").is_number());
  EXPECT_EQ(several[3].at("data"), "old.jsonl");
}

TEST(CliVersions, TheDeviceIsChosenOrRefused) {
  const Workplace& place = workplace();
  const std::vector<std::string> arguments = {"eval",       "--base", place.base(), "--data",
                                              "eval.jsonl", "--json", "--device"};
  std::vector<std::string> cpu = arguments, other = arguments;
  cpu.push_back("cpu");
  EXPECT_GT(json_of(place.lora(cpu)).at("loss").get<double>(), 0);
  other.push_back("tpu");
  const Ran refused = place.lora(other);
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(
      refused.err,
      "lora: lora eval: --device 'tpu': unknown (known: auto, cpu, cuda); did you mean 'cpu'?\n");
}

TEST(CliVersions, GreedyAnswersAreTheSameEveryTime) {
  const Workplace& place = workplace();
  const std::vector<std::string> arguments = {"generate", "--base",   place.base(), "--version",
                                              "v1",       "--prompt", "Hello",      "--max-tokens",
                                              "8",        "--json"};
  const json first = json_of(place.lora(arguments)), second = json_of(place.lora(arguments));
  EXPECT_EQ(first.at("ids"), second.at("ids"));
  EXPECT_EQ(first.at("text"), second.at("text"));
  EXPECT_EQ(first.at("version"), "v1");
  EXPECT_EQ(first.at("tokens"), first.at("ids").size());
  std::vector<std::string> beside = arguments;
  beside.insert(beside.end(), {"--version", "v1:0.5", "--version", "base"});
  const json results = json_of(place.lora(beside)).at("results");
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0].at("ids"), first.at("ids"));
  EXPECT_EQ(results[1].at("version"), "v1:0.5");
}

TEST(CliVersions, InspectTellsWhatAFileIs) {
  const Workplace& place = workplace();
  const json adapter =
      json_of(place.lora({"inspect", "output/v1/adapter_model.safetensors", "--json"}));
  EXPECT_EQ(adapter.at("modules"), 12);
  EXPECT_EQ(adapter.at("dialect"), "peft");
  const json version = json_of(place.lora({"inspect", "v1", "--json"}));
  EXPECT_EQ(version.at("version").at("id"),
            json::parse(place.read("output/v1/version.json")).at("id"));
  const json base = json_of(place.lora({"inspect", place.base(), "--json"}));
  EXPECT_EQ(base.at("model_type"), "llama");
  EXPECT_GT(base.at("parameters").get<int>(), 0);
}

TEST(CliVersions, ExportsAndImports) {
  const Workplace& place = workplace();
  EXPECT_EQ(place.lora({"export", "--version", "v1", "--format", "peft", "--output", "peft"}).code,
            0);
  EXPECT_EQ(place.read("peft/adapter_model.safetensors"), place.adapter("v1"));
  const std::vector<std::string> gguf = {"export", "--version", "v1",     "--format",
                                         "gguf",   "--output",  "v1.gguf"};
  EXPECT_EQ(place.lora(gguf).code, 0);
  EXPECT_EQ(place.read("v1.gguf").substr(0, 4), "GGUF");
  EXPECT_EQ(place.lora({"inspect", "v1.gguf"}).code, 0);
  const Ran again = place.lora(gguf);
  EXPECT_EQ(again.code, 2);
  EXPECT_EQ(again.err,
            "lora: v1.gguf: exists already and is never overwritten; choose another --output\n");
  const Ran kohya =
      place.lora({"export", "--version", "v1", "--format", "kohya", "--output", "v1.kohya"});
  EXPECT_NE(kohya.code, 0);
  EXPECT_THAT(kohya.err, HasSubstr("use the format peft or gguf"));

  EXPECT_EQ(place.lora({"import", "peft", "--output", "output/imported"}).code, 0);
  EXPECT_EQ(place.lora({"verify", "imported"}).code, 0);
  const auto answer = [&](const char* version) {
    return json_of(place.lora({"generate", "--base", place.base(), "--version", version, "--prompt",
                               "Hello", "--max-tokens", "4", "--json"}))
        .at("ids");
  };
  EXPECT_EQ(answer("imported"), answer("v1"));
}

// A tokenizer of single letters, for base models that have none.
std::string letters(int vocabulary) {
  json vocab = {{"<pad>", 0}, {"<s>", 1}, {"</s>", 2}, {"a", 3}, {"b", 4}, {"c", 5}};
  for (int id = 6; id < vocabulary; ++id) vocab[join("<", id, ">")] = id;
  const json end = {{"id", 2},         {"content", "</s>"}, {"single_word", false},
                    {"lstrip", false}, {"rstrip", false},   {"normalized", false},
                    {"special", true}};
  const json model = {{"type", "BPE"},
                      {"unk_token", nullptr},
                      {"byte_fallback", false},
                      {"vocab", vocab},
                      {"merges", json::array()}};
  return json{{"version", "1.0"},
              {"added_tokens", json::array({end})},
              {"normalizer", nullptr},
              {"pre_tokenizer", nullptr},
              {"post_processor", nullptr},
              {"decoder", {{"type", "Fuse"}}},
              {"model", model}}
      .dump();
}

// The reference batch as pre-tokenised JSONL, without its padding.
std::string jsonl_of(const TensorMap& tensors) {
  std::string text;
  const at::Tensor ids = tensors.at("input_ids"), labels = tensors.at("labels");
  for (std::int64_t row = 0; row < ids.size(0); ++row) {
    json line = {{"input_ids", json::array()}, {"labels", json::array()}};
    const auto length = tensors.at("attention_mask")[row].sum().item<std::int64_t>();
    for (std::int64_t i = 0; i < length; ++i) {
      line["input_ids"].push_back(ids[row][i].item<std::int64_t>());
      line["labels"].push_back(labels[row][i].item<std::int64_t>());
    }
    text += line.dump() + "\n";
  }
  return text;
}

TEST(CliGolden, AnImportedAdapterGivesTheReferenceLoss) {
  const Workplace& place = workplace();
  const Path golden = test::golden() / "llm" / "llama";
  fs::copy(golden / "model", place / "llama", fs::copy_options::recursive);
  const json config = json::parse(place.read("llama/config.json"));
  place.write("llama/tokenizer.json", letters(config.at("vocab_size")));
  const TensorMap tensors = read_tensors(golden / "forward.safetensors");
  place.write("reference.jsonl", jsonl_of(tensors));
  const Ran imported =
      place.lora({"import", (golden / "lora").string(), "--output", "output/golden"});
  ASSERT_EQ(imported.code, 0) << imported.err;
  const json expected = json::parse(read_file(golden / "lora_expected.json"));
  const json found = json_of(place.lora(
      {"eval", "--base", "llama", "--version", "golden", "--data", "reference.jsonl", "--json"}));
  const double loss = expected.at("loss_mean");
  EXPECT_NEAR(found.at("loss").get<double>(), loss, 1e-5 * loss);
  EXPECT_EQ(found.at("tokens"), expected.at("count"));
  const json answer =
      json_of(place.lora({"generate", "--base", "llama", "--version", "golden", "--prompt", "abc",
                          "--raw", "--max-tokens", "3", "--json"}));
  EXPECT_GT(answer.at("tokens").get<int>(), 0);
  const Ran misfit = place.lora({"generate", "--base", place.base(), "--version", "golden",
                                 "--prompt", "abc", "--max-tokens", "3"});
  EXPECT_EQ(misfit.code, 2);
  EXPECT_THAT(misfit.err, HasSubstr("choose the adapter's own base model"));
}

TEST(CliVersions, LogShowAndVerify) {
  const Workplace& place = workplace();
  const json log = json_of(place.lora({"log", "--json"}));
  const json id = json::parse(place.read("output/v1/version.json")).at("id");
  bool listed = false;
  for (const json& row : log.at("versions")) {
    if (row.at("name") == "v1") listed = row.at("id") == id && row.at("committed") == json(true);
  }
  EXPECT_TRUE(listed);
  EXPECT_THAT(place.lora({"log"}).out, HasSubstr("v1  " + id.get<std::string>().substr(0, 12)));
  EXPECT_EQ(json_of(place.lora({"show", "v1", "--json"})).at("id"), id);
  EXPECT_THAT(place.lora({"show", "v1"}).out, HasSubstr("rank 4, alpha 8, 12 modules\n"));
  const json verified = json_of(place.lora({"verify", "v1", "--json"}));
  EXPECT_EQ(verified.at("ok"), json(true));
}

TEST(CliVersions, VerifyFindsOneChangedByte) {
  const Workplace& place = workplace();
  for (const char* name : {"adapter_model.safetensors", "config.yaml", "version.json"}) {
    fs::create_directories(place / "changed");
    fs::remove_all(place / "changed/v1");
    fs::copy(place / "output/v1", place / "changed/v1", fs::copy_options::recursive);
    EXPECT_EQ(place.lora({"verify", "--output", "changed"}).code, 0);
    const std::string file = join("changed/v1/", name);
    std::string bytes = place.read(file);
    const std::size_t at = bytes.rfind('8');
    ASSERT_NE(at, std::string::npos);
    bytes[at] = '9';
    place.write(file, bytes);
    const Ran found = place.lora({"verify", "--output", "changed"});
    EXPECT_EQ(found.code, 3) << name;
    EXPECT_THAT(found.out, HasSubstr("v1")) << name;
    const json report =
        json::parse(place.lora({"verify", "v1", "--output", "changed", "--json"}).out);
    EXPECT_EQ(report.at("ok"), json(false));
  }
}

}  // namespace
}  // namespace lora::test
