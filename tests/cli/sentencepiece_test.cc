// SPDX-License-Identifier: Apache-2.0
// A model folder with a SentencePiece tokenizer.model, used through the program itself: only there
// are libsentencepiece, libtorch and the two versions of protobuf they bring loaded as for users.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/cli/run.h"
#include "tests/cli/sentencepiece_file.h"

namespace lora::test {
namespace {

using Json = nlohmann::json;

// The byte-pair model of a tokenizer.json of Llama-2's kind whose ids are in the order of the
// merges.
std::string sentencepiece_model(const Json& model, bool byte_fallback = true) {
  using enum SentencePiece::Kind;
  std::vector<SentencePiece> pieces(model["vocab"].size());
  for (const auto& [text, id] : model["vocab"].items()) pieces[id.get<std::size_t>()].text = text;
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    pieces[id].score = -static_cast<float>(id);
    pieces[id].kind = id == 0 ? unknown : id < 3 ? control : id < 259 ? byte : normal;
  }
  return sentencepiece_file(pieces, SentencePieceModel::byte_pairs, byte_fallback);
}

// The example's base, its tokenizer written as tokenizer.model.
void make_base(const Workplace& place) {
  namespace fs = std::filesystem;
  fs::copy(place.base(), place / "base");
  const Json tokenizer = Json::parse(place.read("base/tokenizer.json"));
  place.write("base/tokenizer.model", sentencepiece_model(tokenizer["model"]));
  fs::remove(place / "base/tokenizer.json");
  // Its tokenizer.json puts a blank behind every special token.
  Json config = Json::parse(place.read("base/tokenizer_config.json"));
  config["legacy"] = true;
  place.write("base/tokenizer_config.json", config.dump());
}

TEST(CliSentencePiece, GivesTheNumbersOfTheSameTokenizerJson) {
  const Workplace place;
  make_base(place);
  std::vector<std::string> losses;
  for (const std::string& base : {place.base(), std::string("base")}) {
    const Ran eval = place.lora({"eval", "--base", base, "--data", "eval.jsonl", "--json"});
    ASSERT_EQ(eval.code, 0) << eval.err;
    const Json result = Json::parse(eval.out);
    losses.push_back(result["loss"].dump() + " over " + result["tokens"].dump());
  }
  EXPECT_EQ(losses[1], losses[0]);
  const Ran check = place.train("v1.yaml", {"base_model=base", "--check"});
  EXPECT_EQ(check.code, 0) << check.err;
}

// "legacy": false puts a blank in front of the whole text alone, as the step Metaspace of
// tokenizer.json with "first". transformers' LlamaTokenizer.
TEST(CliSentencePiece, WithoutLegacyNoBlankStandsBehindSpecialTokens) {
  const Workplace place;
  make_base(place);
  Json config = Json::parse(place.read("base/tokenizer_config.json"));
  config["legacy"] = false;
  place.write("base/tokenizer_config.json", config.dump());
  std::filesystem::copy(place.base(), place / "like");
  Json like = Json::parse(place.read("like/tokenizer.json"));
  like["normalizer"] = nullptr;
  like["pre_tokenizer"] = {{"type", "Metaspace"},
                           {"replacement", "\xE2\x96\x81"},
                           {"prepend_scheme", "first"},
                           {"split", false}};
  place.write("like/tokenizer.json", like.dump());
  std::vector<std::string> losses;
  for (const char* base : {"like", "base"}) {
    const Ran eval = place.lora({"eval", "--base", base, "--data", "eval.jsonl", "--json"});
    ASSERT_EQ(eval.code, 0) << eval.err;
    const Json result = Json::parse(eval.out);
    losses.push_back(result["loss"].dump() + " over " + result["tokens"].dump());
  }
  EXPECT_EQ(losses[1], losses[0]);
}

// The library refuses byte pieces where the setting for them is off.
TEST(CliSentencePiece, BytePiecesCountWithoutTheirSetting) {
  const Workplace place;
  make_base(place);
  const Json tokenizer = Json::parse(read_file(place.base() + "/tokenizer.json"));
  std::vector<std::string> losses;
  for (const bool fallback : {true, false}) {
    place.write("base/tokenizer.model", sentencepiece_model(tokenizer["model"], fallback));
    const Ran eval = place.lora({"eval", "--base", "base", "--data", "eval.jsonl", "--json"});
    ASSERT_EQ(eval.code, 0) << eval.err;
    losses.push_back(Json::parse(eval.out)["loss"].dump());
  }
  EXPECT_EQ(losses[1], losses[0]);
}

TEST(CliSentencePiece, ABrokenModelIsNamed) {
  const Workplace place;
  make_base(place);
  place.write("base/tokenizer.model", "nothing of the kind");
  const Ran ran = place.lora({"generate", "--base", "base", "--prompt", "a"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, testing::StartsWith("lora: base/tokenizer.model: this is no SentencePiece "
                                           "model (found 19 bytes of another format)"));
}

}  // namespace
}  // namespace lora::test
