// SPDX-License-Identifier: Apache-2.0
// A model folder with a SentencePiece tokenizer.model, used through the program itself: only there
// are libsentencepiece, libtorch and the two versions of protobuf they bring loaded as for users.
#include <gmock/gmock.h>

#include <bit>
#include <nlohmann/json.hpp>

#include "tests/cli/run.h"

namespace lora::test {
namespace {

using Json = nlohmann::json;

// The few parts of protobuf's format that follow: https://protobuf.dev/programming-guides/encoding
std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}
std::string number_field(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}
std::string text_field(int field, const std::string& text) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(text.size()) + text;
}
std::string float_field(int field, float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  std::string bytes = varint(static_cast<std::uint64_t>(field) << 3 | 5);
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift);
  return bytes;
}

// The byte-pair model of a tokenizer.json of Llama-2's kind whose ids are in the order of the
// merges, as sentencepiece_model.proto of SentencePiece writes it.
std::string sentencepiece_model(const Json& model) {
  constexpr int kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6;
  std::vector<std::string> pieces(model["vocab"].size());
  for (const auto& [piece, id] : model["vocab"].items()) pieces[id.get<std::size_t>()] = piece;
  std::string bytes;
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    const bool byte = id > 2 && id < 259;
    const int type = id == 0 ? kUnknown : id < 3 ? kControl : byte ? kByte : kNormal;
    bytes += text_field(1, text_field(1, pieces[id]) + float_field(2, -static_cast<float>(id)) +
                               number_field(3, static_cast<std::uint64_t>(type)));
  }
  const std::string byte_pairs_with_fallback = number_field(3, 2) + number_field(35, 1);
  const std::string blank_in_front_and_none_removed =
      text_field(1, "identity") + number_field(3, 1) + number_field(4, 0) + number_field(5, 1);
  return bytes + text_field(2, byte_pairs_with_fallback) +
         text_field(3, blank_in_front_and_none_removed);
}

// The example's base, its tokenizer written as tokenizer.model.
void make_base(const Workplace& place) {
  namespace fs = std::filesystem;
  fs::copy(place.base(), place / "base");
  const Json tokenizer = Json::parse(place.read("base/tokenizer.json"));
  place.write("base/tokenizer.model", sentencepiece_model(tokenizer["model"]));
  fs::remove(place / "base/tokenizer.json");
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
