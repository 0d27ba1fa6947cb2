// SPDX-License-Identifier: Apache-2.0
// Tokenizers against stored ids of Hugging Face tokenizers and of llama.cpp.
#include "tokenizers/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "tests/paths.h"
#include "tokenizers/clip_tokenizer.h"

namespace lora {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int64_t>;

json read_json(const Path& path) { return json::parse(read_file(path)); }

Path golden_tokenizers() { return test::golden() / "llm/tokenizers"; }

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_tokenizers())) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The tokens a text was cut into. An added token that took white space along is listed with it.
void expect_tokens(const Tokenizer& tokenizer, const Ids& ids, const json& tokens) {
  ASSERT_EQ(ids.size(), tokens.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string expected = tokens[i];
    if (trim(expected) != expected) {
      EXPECT_EQ(tokenizer.token_of(ids[i]), trim(expected));
    } else {
      EXPECT_EQ(tokenizer.token_of(ids[i]), expected);
    }
  }
}

void expect_cases(const Tokenizer& tokenizer, const json& cases, bool with_tokens) {
  EXPECT_FALSE(cases.empty());
  for (const json& one : cases) {
    const std::string text = one["text"];
    const Ids ids = tokenizer.encode(text);
    EXPECT_EQ(ids, one["ids"].get<Ids>()) << "text: " << one["text"];
    const Ids special = tokenizer.encode(text, {.add_special = true});
    EXPECT_EQ(special, one["ids_with_special"].get<Ids>()) << "text: " << one["text"];
    if (with_tokens) expect_tokens(tokenizer, ids, one["tokens"]);
    EXPECT_EQ(tokenizer.decode(ids), one["decoded"].get<std::string>()) << one["text"];
    EXPECT_EQ(tokenizer.decode(special, true), one["decoded_skip_special"].get<std::string>())
        << one["text"];
  }
}

TEST(GoldenTokenizer, EncodesAndDecodesEveryCase) {
  const json summary = read_json(golden_tokenizers() / "summary.json");
  const std::vector<std::string> names = golden_names();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.size(), summary.size());
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const Path folder = golden_tokenizers() / name;
    const auto tokenizer = Tokenizer::load(folder);
    EXPECT_EQ(read_json(folder / "cases.json")["cases"].size(), summary.at(name)["cases"]);
    expect_cases(*tokenizer, read_json(folder / "cases.json")["cases"], true);
  }
}

TEST(GoldenTokenizer, DecodesEveryListOfIds) {
  for (const std::string& name : golden_names()) {
    SCOPED_TRACE(name);
    const Path folder = golden_tokenizers() / name;
    const auto tokenizer = Tokenizer::load(folder);
    const json all = read_json(folder / "decode_cases.json");
    for (const json& one : all["cases"]) {
      const Ids ids = one["ids"];
      EXPECT_EQ(tokenizer->decode(ids), one["decoded"].get<std::string>()) << one["ids"];
      EXPECT_EQ(tokenizer->decode(ids, true), one["decoded_skip_special"].get<std::string>())
          << one["ids"];
    }
  }
}

TEST(GoldenTokenizer, OlderFilesAreTheSameTokenizer) {
  int compared = 0;
  for (const std::string& name : golden_names()) {
    const Path folder = golden_tokenizers() / name;
    if (!std::filesystem::exists(folder / "merges.txt")) continue;
    SCOPED_TRACE(name);
    const auto tokenizer = Tokenizer::load(folder / "vocab.json");
    expect_cases(*tokenizer, read_json(folder / "cases.json")["cases"], true);
    EXPECT_EQ(tokenizer->vocabulary(), Tokenizer::load(folder)->vocabulary());
    ++compared;
  }
  EXPECT_GE(compared, 2);
}

TEST(GoldenTokenizer, SizesAndSpecialTokensAsStated) {
  const json summary = read_json(golden_tokenizers() / "summary.json");
  for (const std::string& name : golden_names()) {
    SCOPED_TRACE(name);
    const auto tokenizer = Tokenizer::load(golden_tokenizers() / name);
    EXPECT_EQ(tokenizer->vocabulary(), summary.at(name)["vocab_size"]);
    const json config = read_json(golden_tokenizers() / name / "tokenizer_config.json");
    for (const auto& [id, token] : config["added_tokens_decoder"].items()) {
      EXPECT_EQ(tokenizer->id_of(token["content"].get<std::string>()), std::stoll(id));
      EXPECT_EQ(tokenizer->is_special(std::stoll(id)), token["special"].get<bool>());
      EXPECT_LT(std::stoll(id), tokenizer->vocabulary());
    }
    EXPECT_EQ(tokenizer->fingerprint(), sha256_file(golden_tokenizers() / name / "tokenizer.json"));
  }
}

void expect_clip(const ClipTokenizer& tokenizer, const json& cases) {
  EXPECT_FALSE(cases.empty());
  for (const json& one : cases) {
    const std::string text = one["text"];
    const Ids ids = one["ids"];
    EXPECT_EQ(tokenizer.encode(text), ids) << one["text"];
    Ids padded = one.contains("ids_77") ? one["ids_77"].get<Ids>() : ids;
    padded.resize(77, tokenizer.pad());
    EXPECT_EQ(tokenizer.encode_padded(text), padded) << one["text"];
    EXPECT_EQ(tokenizer.encode_plain(text), Ids(ids.begin() + 1, ids.end() - 1)) << one["text"];
  }
}

TEST(GoldenClipTokenizer, TinyVocabulary) {
  const Path sd = test::golden() / "sd";
  const auto tokenizer = ClipTokenizer::load(sd / "tiny-sd15/tokenizer");
  expect_clip(*tokenizer, read_json(sd / "clip_tokenizer/expected_ids_tiny_tokenizer.json"));
  // The same folder through the general door.
  EXPECT_EQ(Tokenizer::load(sd / "tiny-sd15/tokenizer")->encode("a dog", {.add_special = true}),
            tokenizer->encode("a dog"));
}

TEST(DataClipTokenizer, ClipVocabulary) {
  for (const char* place : {"tokenizers/clip", "sd15/tokenizer"}) {
    LORA_SKIP_WITHOUT(test::data() / place);
    const auto tokenizer = ClipTokenizer::load(test::data() / place);
    expect_clip(*tokenizer, read_json(test::golden() / "sd/clip_tokenizer/expected_ids.json"));
    EXPECT_EQ(tokenizer->encode("a photo of an astronaut riding a horse on mars"),
              (Ids{49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496, 49407}));
    EXPECT_EQ(tokenizer->encode("a photo of a sks dog"),
              (Ids{49406, 320, 1125, 539, 320, 48136, 1929, 49407}));
    EXPECT_EQ(
        tokenizer->encode("Apple CoreML developer tools on a Macbook Air are fast"),
        (Ids{49406, 3055, 19622, 5780, 10929, 5771, 525, 320, 20617, 1922, 631, 1953, 49407}));
  }
}

struct Vectors {
  const char* tokenizer;  // under data/tokenizers
  const char* vectors;
};

class DataTokenizerVectors : public testing::TestWithParam<Vectors> {};

TEST_P(DataTokenizerVectors, AllStringsMatch) {
  const Path folder = test::data() / "tokenizers";
  LORA_SKIP_WITHOUT(folder / GetParam().tokenizer);
  const Path stem = folder / "vectors" / (std::string("ggml-vocab-") + GetParam().vectors);
  LORA_SKIP_WITHOUT(Path(stem.string() + ".gguf.inp"));
  const auto tokenizer = Tokenizer::load(folder / GetParam().tokenizer);
  std::string input = read_file(stem.string() + ".gguf.inp");
  const std::vector<std::string> lines = split(read_file(stem.string() + ".gguf.out"), '\n');
  const std::string mark = "\n__ggml_vocab_test__\n";
  std::size_t count = 0;
  for (std::size_t at = 0; at < input.size(); ++count) {
    const std::size_t end = std::min(input.find(mark, at), input.size());
    const std::string text = input.substr(at, end - at);
    at = end + mark.size();
    ASSERT_LT(count, lines.size());
    Ids expected;
    for (const std::string& word : split(trim(lines[count]), ' ')) {
      if (!word.empty()) expected.push_back(std::stoll(word));
    }
    EXPECT_EQ(tokenizer->encode(text, {.parse_special = false}), expected) << json(text);
    EXPECT_EQ(tokenizer->decode(expected), text) << json(text);
  }
  EXPECT_EQ(count, 46U);
}

INSTANTIATE_TEST_SUITE_P(Families, DataTokenizerVectors,
                         testing::Values(Vectors{"llama-2", "llama-spm"},
                                         Vectors{"llama2.c", "llama-spm"},
                                         Vectors{"llama-3", "llama-bpe"},
                                         Vectors{"qwen2.5", "qwen2"}, Vectors{"gpt-2", "gpt-2"}));

}  // namespace
}  // namespace lora
