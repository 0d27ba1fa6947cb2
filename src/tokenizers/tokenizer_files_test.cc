// SPDX-License-Identifier: Apache-2.0
// Broken tokenizer files and their messages; the demo's tokenizer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tests/paths.h"
#include "tokenizers/tokenizer.h"

namespace lora {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int64_t>;

// A folder of its own for one test, removed with everything in it.
class TokenizerFiles : public testing::Test {
 protected:
  TokenizerFiles()
      : folder_(std::filesystem::temp_directory_path() /
                ("lora-tokenizer-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~TokenizerFiles() override { std::filesystem::remove_all(folder_); }

  void clear() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void write(const char* name, const std::string& content) {
    write_file_atomic(folder_ / name, content);
  }
  // The message of loading the folder, with the folder as "DIR".
  std::string message() const {
    try {
      Tokenizer::load(folder_);
    } catch (const Error& error) {
      std::string text = error.what();
      const std::string name = folder_.string();
      for (std::size_t at = 0; (at = text.find(name)) != std::string::npos;) {
        text.replace(at, name.size(), "DIR");
      }
      return text;
    }
    return "no error";
  }

  Path folder_;
};

json small_tokenizer() {
  return json::parse(R"({"version": "1.0", "added_tokens": [], "normalizer": null,
    "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<s>": 3}, "merges": ["a b"]}})");
}

struct BrokenJson {
  const char* pointer;  // into small_tokenizer()
  const char* value;
  const char* message;
};

constexpr const char* kOriginal = "; take the file from the original model";

constexpr BrokenJson kBrokenJson[] = {
    {"/model/merges", R"(["a c"])",
     "DIR/tokenizer.json: model: merge 1 names a token that is not in the vocabulary (found 'c'); "
     "the merges and the vocabulary must come from the same model"},
    {"/model/merges", R"(["a b c"])",
     "DIR/tokenizer.json: model: merge 1 is wrong (found \"a b c\", expected \"a b\" or "
     "[\"a\", \"b\"])"},
    {"/model/merges", "null", "DIR/tokenizer.json: model: 'merges' is missing (expected a list)"},
    {"/model/vocab", "{}",
     "DIR/tokenizer.json: model: there is no vocabulary (expected model.vocab with tokens and "
     "ids)"},
    {"/model/vocab/a", "1",
     "DIR/tokenizer.json: model: id 1 is given twice (found 'b', expected 'a')"},
    {"/model/vocab/a", R"("x")",
     "DIR/tokenizer.json: model: token 'a' has no usable id (found \"x\", expected a whole "
     "number)"},
    {"/model/vocab/a", "-1",
     "DIR/tokenizer.json: model: token 'a' has no usable id (found -1, expected 0..67108864)"},
    {"/model/type", R"("Unigram")",
     "DIR/tokenizer.json: model: kind of model not supported (found 'Unigram', expected BPE); use "
     "the SentencePiece tokenizer.model where the model has one"},
    {"/model/dropout", "0.1",
     "DIR/tokenizer.json: model: BPE dropout is not supported (found 0.1, expected null); set "
     "model.dropout to null"},
    {"/model/unk_token", R"("<unk>")",
     "DIR/tokenizer.json: model: unk_token '<unk>' is not in the vocabulary"},
    {"/normalizer", R"({"type": "Precompiled"})",
     "DIR/tokenizer.json: normalizer 'Precompiled': unknown (known: NFC, NFD, NFKC, NFKD, "
     "Lowercase, Strip, StripAccents, Prepend, Replace, ByteLevel, Sequence)"},
    {"/normalizer", R"({"type": "Prepend"})",
     "DIR/tokenizer.json: normalizer Prepend: 'prepend' is missing (expected a text)"},
    {"/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"})",
     "DIR/tokenizer.json: pre_tokenizer Split: '(a' is not a regular expression (found missing "
     "closing parenthesis at character 3)"},
    {"/pre_tokenizer", R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Bent"})",
     "DIR/tokenizer.json: pre_tokenizer Split: behavior 'Bent': unknown (known: Isolated, Removed, "
     "Contiguous, MergedWithPrevious, MergedWithNext)"},
    {"/post_processor",
     R"({"type": "TemplateProcessing", "special_tokens": {},
         "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]})",
     "DIR/tokenizer.json: post_processor TemplateProcessing: the template names '<s>', which "
     "special_tokens does not define"},
    {"/decoder", R"({"type": "CTC"})",
     "DIR/tokenizer.json: decoder 'CTC': unknown (known: ByteLevel, ByteFallback, Fuse, Replace, "
     "Strip, Metaspace, WordPiece, BPEDecoder, Sequence)"},
    {"/added_tokens", R"([{"id": 9, "content": "<s>", "special": true}])",
     "DIR/tokenizer.json: added token '<s>' contradicts the vocabulary (found id 9, expected 3); "
     "take the files from one model"},
    {"/added_tokens", R"([{"id": 1, "content": "<x>", "special": true}])",
     "DIR/tokenizer.json: the id of added token '<x>' is taken (found id 1, which is 'b'); take "
     "the files from one model"},
    {"/model", "3", "DIR/tokenizer.json: there is no model section (expected version, model, ..)"},
};

TEST_F(TokenizerFiles, NamesWhatIsWrongInTokenizerJson) {
  write("tokenizer.json", small_tokenizer().dump());
  EXPECT_EQ(message(), "no error");
  for (const BrokenJson& broken : kBrokenJson) {
    json all = small_tokenizer();
    all[json::json_pointer(broken.pointer)] = json::parse(broken.value);
    write("tokenizer.json", all.dump());
    const std::string expected = broken.message;
    const bool told = expected.find("; ") != std::string::npos || expected.ends_with("Sequence)") ||
                      expected.ends_with("MergedWithNext)");
    EXPECT_EQ(message(), told ? expected : expected + kOriginal) << broken.value;
  }
}

struct BrokenFolder {
  std::vector<std::pair<const char*, std::string>> files;
  std::string message;
};

TEST_F(TokenizerFiles, NamesWhatIsWrongInAFolder) {
  const std::string vocabulary = R"({"a": 0, "b": 1, "ab": 2})";
  const std::string small = small_tokenizer().dump();
  const std::string original = kOriginal;
  const std::vector<BrokenFolder> all = {
      {{},
       "DIR: there is no tokenizer (expected tokenizer.json, tokenizer.model or vocab.json with "
       "merges.txt); copy the tokenizer files of the model into this folder"},
      {{{"tokenizer.json", "{\"model\": "}},
       "DIR/tokenizer.json: this is not valid JSON (found an error at byte 11 of 10)" + original},
      {{{"tokenizer.json", "[]"}},
       "DIR/tokenizer.json: this is not a JSON object (found array)" + original},
      {{{"tokenizer.json", ""}},
       "DIR/tokenizer.json: the file is empty; take it from the original model"},
      {{{"tokenizer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"}},
       "DIR/tokenizer.json: this is a Git LFS pointer, not the file itself (found 56 bytes); fetch "
       "the file with 'git lfs pull'"},
      {{{"tokenizer.model", "nothing of the kind"}},
       "DIR/tokenizer.model: this is no SentencePiece model (found 19 bytes of another format)" +
           original},
      {{{"tokenizer.model", "YQ== 0\n" + std::string(300'000, 'Y') + " 1\n"}},
       "DIR/tokenizer.model:2: this is no line of a rank file (found '" + std::string(60, 'Y') +
           "', expected base64, a space and a rank)" + original},
      {{{"tokenizer.model", "YQ== 0\nYg== 1\n!!\n"}},
       "DIR/tokenizer.model:3: this is no line of a rank file (found '!!', expected base64, a "
       "space "
       "and a rank)" +
           original},
      {{{"vocab.json", vocabulary}},
       "DIR/merges.txt: no such file (expected vocab.json with merges.txt beside it); copy both "
       "from "
       "the original model"},
      {{{"vocab.json", "{}"}, {"merges.txt", "a b\n"}},
       "DIR/vocab.json: the vocabulary is empty" + original},
      {{{"vocab.json", vocabulary}, {"merges.txt", "#version: 0.2\na b\nab\n"}},
       "DIR/merges.txt:3: this is no merge (found 'ab', expected two tokens with a space between "
       "them)" +
           original},
      {{{"vocab.json", vocabulary},
        {"merges.txt", "a b\n"},
        {"added_tokens.json", R"({"<x>": 1})"}},
       "DIR/vocab.json: the id of added token '<x>' is taken (found id 1, which is 'b'); take the "
       "files from one model"},
      {{{"tokenizer.json", small}, {"tokenizer_config.json", R"({"eos_token": "</s>"})"}},
       "DIR/tokenizer_config.json: eos_token is not in the vocabulary (found '</s>'); take the "
       "files "
       "from one model"},
      {{{"tokenizer.json", small}, {"tokenizer_config.json", R"({"eos_token": 7})"}},
       "DIR/tokenizer_config.json: 'eos_token': found 7, expected a text or an object with "
       "'content'" +
           original},
  };
  for (const BrokenFolder& broken : all) {
    clear();
    for (const auto& [name, content] : broken.files) write(name, content);
    EXPECT_EQ(message(), broken.message);
  }
}

TEST_F(TokenizerFiles, TakesSpecialTokensTemplateAndStopIds) {
  write("tokenizer.json", small_tokenizer().dump());
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<s>"}, "eos_token": "ab", "add_bos_token": true,
            "chat_template": [{"name": "tool_use", "template": "T"},
                              {"name": "default", "template": "D"}]})");
  write("generation_config.json", R"({"eos_token_id": [1, 2]})");
  const auto tokenizer = Tokenizer::load(folder_);
  EXPECT_EQ(tokenizer->bos_token(), "<s>");
  EXPECT_EQ(tokenizer->special().bos, 3);
  EXPECT_EQ(tokenizer->special().eos, 2);
  EXPECT_EQ(tokenizer->stop_ids(), (Ids{1, 2}));
  EXPECT_EQ(tokenizer->add_bos(), true);
  EXPECT_EQ(tokenizer->chat_template(), "D");
  write("chat_template.jinja", "J");
  EXPECT_EQ(Tokenizer::load(folder_)->chat_template(), "J");
}

TEST_F(TokenizerFiles, RefusesTextThatIsNotUtf8) {
  write("tokenizer.json", small_tokenizer().dump());
  const auto tokenizer = Tokenizer::load(folder_);
  try {
    tokenizer->encode("ab\xFF");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "text to tokenize: not valid UTF-8 (found byte 255 at position 2); "
                 "convert the data to UTF-8");
  }
  EXPECT_THROW(tokenizer->token_of(99), Error);
}

// Text of the tests' own golden files, repeated; letters, digits, punctuation, several scripts. No
// "▁", which SentencePiece decodes as a blank.
std::string sample_text(std::size_t size) {
  std::string text;
  const json golden = json::parse(read_file(test::golden() / "llm/tokenizers/qwen2/cases.json"));
  for (const json& one : golden["cases"]) {
    text += one["text"].get<std::string>() + "\n";
  }
  text += read_file(test::golden() / "README.md") + read_file(test::golden() / "llm/README.md");
  const std::string mark = "▁";
  for (std::size_t at; (at = text.find(mark)) != std::string::npos;) text.erase(at, mark.size());
  const std::string once = text;
  while (text.size() < size) text += once;
  return text;
}

TEST(DataTokenizer, LongTextsComeBack) {
  const std::string text = sample_text(100'000);
  for (const char* name : {"llama-2", "llama2.c", "llama-3", "opt-gpt2-json", "gpt-2"}) {
    const Path folder = test::data() / "tokenizers" / name;
    LORA_SKIP_WITHOUT(folder);
    const auto tokenizer = Tokenizer::load(folder);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {.parse_special = false})), text) << name;
  }
}

// llama-2 as tokenizer.json cuts a long text into chunks, SentencePiece does not.
TEST(DataTokenizer, LlamaFilesAgreeOnLongTexts) {
  const Path folder = test::data() / "tokenizers";
  LORA_SKIP_WITHOUT(folder);
  const std::string text = sample_text(100'000);
  const EncodeOptions plain{.parse_special = false};
  EXPECT_EQ(Tokenizer::load(folder / "llama-2")->encode(text, plain),
            Tokenizer::load(folder / "llama2.c")->encode(text, plain));
}

}  // namespace
}  // namespace lora
