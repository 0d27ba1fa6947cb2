// SPDX-License-Identifier: Apache-2.0
// Every kind of tokenizer, through a training step: the ids of its only sample are those of
// probe.json.
#include <algorithm>

#include "tests/cli/sentencepiece_file.h"
#include "tests/cli/smoke.h"
#include "tests/paths.h"
#include "tokenizers/steps.h"

namespace lora::test {
namespace {

const char* const kText = "be 42,, be";

// Blanks are " ", "Ġ" (byte-level) or "▁" (Metaspace), by the kind of tokenizer. What the
// merges join shows where the text was divided.
const std::vector<std::string> kTokens = {"<|endoftext|>", "b",  "e",  "4",  "2",    ",",   " ",
                                          "Ġ",             "▁",  "be", "42", ",,",   "42,,",
                                          "Ġbe",           "▁be"};
const std::vector<std::string> kMerges = {"b e", "4 2", ", ,", "42 ,,", "Ġ be", "▁ be"};

Json numbered(const std::vector<std::string>& tokens) {
  Json ids = Json::object();
  for (std::size_t id = 0; id < tokens.size(); ++id) ids[tokens[id]] = id;
  return ids;
}

using Ids = std::vector<std::int64_t>;

Ids ids_of(const std::vector<std::string>& tokens,
           const std::vector<std::string>& vocabulary = kTokens) {
  Ids ids;
  for (const std::string& token : tokens) {
    ids.push_back(std::ranges::find(vocabulary, token) - vocabulary.begin());
  }
  return ids;
}

// A folder with a tokenizer, what to train on, and what it must become.
struct Sample {
  std::string name;
  Ids ids;
  std::string text = kText;
};

// A training of one step on each sample, its folder (of that name) as the base model.
std::vector<Ids> trained_ids(const Workplace& place, const std::vector<Sample>& samples) {
  std::vector<Words> commands;
  for (const Sample& sample : samples) {
    place.write(sample.name + ".jsonl", Json{{"text", sample.text}}.dump() + "\n");
    place.write(sample.name + ".yaml",
                join("base_model: ", sample.name, "\ntrain_data_dir: ", sample.name,
                     ".jsonl\noutput_dir: output/", sample.name,
                     "\nmax_steps: 1\nthreads: 1\nmixed_precision: no\n"));
    commands.push_back({"train", "--config", sample.name + ".yaml", "--json"});
  }
  const std::vector<Ran> trained = run_each(place, commands);
  std::vector<Ids> found;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    SCOPED_TRACE(samples[i].name);
    found.emplace_back();
    if (json_of(trained[i]).empty()) continue;
    const Json probe = Json::parse(place.read("output/" + samples[i].name + "/probe.json"));
    found.back() = probe.at("samples").at(0).at("ids").get<Ids>();
  }
  return found;
}

void expect_ids(const Workplace& place, const std::vector<Sample>& samples) {
  const std::vector<Ids> found = trained_ids(place, samples);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(found[i], samples[i].ids) << samples[i].name;
  }
}

struct PreTokenizerRow {
  Json step;
  std::vector<std::string> tokens;
};

const std::vector<PreTokenizerRow>& pre_tokenizers() {
  static const Json at_blanks = {{"type", "WhitespaceSplit"}};
  static const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  static const std::vector<PreTokenizerRow> rows = {
      {{{"type", "ByteLevel"}, {"add_prefix_space", false}}, {"be", "Ġ", "42", ",,", "Ġbe"}},
      {{{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "Isolated"}},
       {"be", " ", "42,,", " ", "be"}},
      {{{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}},
       {"▁be", "▁", "42,,", "▁be"}},
      {{{"type", "Whitespace"}}, {"be", "42", ",,", "be"}},
      {at_blanks, {"be", "42,,", "be"}},
      {digits, {"be", " ", "4", "2", ",,", " ", "be"}},
      {{{"type", "Punctuation"}, {"behavior", "Isolated"}},
       {"be", " ", "42", ",", ",", " ", "be"}},
      {{{"type", "BertPreTokenizer"}}, {"be", "42", ",", ",", "be"}},
      {{{"type", "Sequence"}, {"pretokenizers", {at_blanks, digits}}},
       {"be", "4", "2", ",,", "be"}}};
  return rows;
}

TEST(CliSmokeTokenizers, EveryPreTokenizerOfTokenizerJson) {
  const Workplace place;
  std::vector<Sample> samples;
  for (const auto& [step, tokens] : pre_tokenizers()) {
    const std::string name = step.at("type");
    write_tiny_llama(place / name, 16);
    const Json model = {{"type", "BPE"}, {"vocab", numbered(kTokens)}, {"merges", kMerges}};
    const Json file = {{"model", model}, {"pre_tokenizer", step}, {"added_tokens", Json::array()}};
    place.write(name + "/tokenizer.json", file.dump());
    samples.push_back({name, ids_of(tokens)});
  }
  expect_ids(place, samples);
}

TEST(CliSmokeTokenizers, NoPreTokenizerIsLeftOut) {
  Names tried;
  for (const PreTokenizerRow& row : pre_tokenizers()) tried.insert(row.step.at("type"));
  try {
    make_pre_tokenizer({{"type", "none of them"}}, "here");
    FAIL() << "made";
  } catch (const Error& error) {
    EXPECT_EQ(tried, listed(error.what(), "(known: ", ")"));
  }
}

std::vector<SentencePiece> pieces() {
  using enum SentencePiece::Kind;
  std::vector<SentencePiece> pieces = {{"<unk>", 0, unknown}, {"<s>", 0, control},
                                       {"</s>", 0, control}};
  // Byte pairs join the highest first; the best path of unigrams has the highest sum.
  const std::map<std::string, float> scores = {{"be", -1},   {"42", -2},  {",,", -3},
                                               {"42,,", -9}, {"▁be", -10}, {"▁", -4}};
  for (const char* text : {"b", "e", "4", "2", ",", "▁", "be", "42", ",,", "42,,", "▁be"}) {
    pieces.push_back({text, scores.contains(text) ? scores.at(text) : -20});
  }
  return pieces;
}

Ids with_ends(const std::vector<std::string>& texts) {
  Ids ids = {1};
  const std::vector<SentencePiece> all = pieces();
  for (const std::string& text : texts) {
    ids.push_back(std::ranges::find(all, text, &SentencePiece::text) - all.begin());
  }
  ids.push_back(2);
  return ids;
}

TEST(CliSmokeTokenizers, SentencePieceOfBothKinds) {
  const Workplace place;
  for (const char* name : {"unigram", "byte_pairs"}) write_tiny_llama(place / name, 16);
  place.write("unigram/tokenizer.model",
              sentencepiece_file(pieces(), SentencePieceModel::unigram, false));
  place.write("byte_pairs/tokenizer.model",
              sentencepiece_file(pieces(), SentencePieceModel::byte_pairs, false));
  expect_ids(place, {{"unigram", with_ends({"▁", "be", "▁", "42", ",,", "▁", "be"})},
                     {"byte_pairs", with_ends({"▁be", "▁", "42,,", "▁be"})}});
}

// A line is the base64 of a token's bytes and its rank.
TEST(CliSmokeTokenizers, RanksOfTiktoken) {
  const Workplace place;
  write_tiny_llama(place / "ranks", 10 + 256);
  place.write("ranks/tokenizer.model",
              "Yg== 0\nZQ== 1\nNA== 2\nMg== 3\nLA== 4\nIA== 5\nYmU= 6\nNDI= 7\nLCw= 8\nIGJl 9\n");
  constexpr std::int64_t kBegin = 10, kEnd = 11;
  expect_ids(place, {{"ranks", {kBegin, 6, 5, 7, 8, 9, kEnd}}});
}

// vocab.json with merges.txt: what tokenizer_class, or model_type, says of them.
struct FamilyRow {
  std::vector<std::string> names;  // with one meaning; the first is tried
  std::vector<std::string> vocabulary, merges, tokens;
};

const std::vector<FamilyRow>& families_of_files() {
  static const std::vector<FamilyRow> rows = {
      {{"GPT2Tokenizer", "gpt2", "opt"},
       kTokens,
       kMerges,
       {"be", "Ġ", "42", ",,", "Ġbe", "<|endoftext|>"}},
      {{"Qwen2Tokenizer", "qwen2", "qwen3"},
       kTokens,
       kMerges,
       {"be", "Ġ", "4", "2", ",,", "Ġbe", "<|endoftext|>"}},
      {{"CLIPTokenizer", "clip_text_model"},
       {"<|startoftext|>", "<|endoftext|>", "b", "e", "e</w>", "be</w>", "4", "4</w>", "2</w>", ",",
        ",</w>", ",,</w>"},
       {"b e</w>", ", ,</w>"},
       {"<|startoftext|>", "be</w>", "4</w>", "2</w>", ",,</w>", "be</w>", "<|endoftext|>"}}};
  return rows;
}

TEST(CliSmokeTokenizers, VocabularyWithMerges) {
  const Workplace place;
  std::vector<Sample> samples;
  for (const FamilyRow& row : families_of_files()) {
    const std::string& name = row.names[0];
    write_tiny_llama(place / name, 16);
    place.write(name + "/vocab.json", numbered(row.vocabulary).dump());
    place.write(name + "/merges.txt", "#version: 0.2\n" + join_words(row.merges, "\n") + "\n");
    place.write(name + "/tokenizer_config.json", Json{{"tokenizer_class", name}}.dump());
    samples.push_back({name, ids_of(row.tokens, row.vocabulary)});
  }
  expect_ids(place, samples);
}

TEST(CliSmokeTokenizers, NoFamilyOfVocabularyFilesIsLeftOut) {
  const Workplace place;
  write_tiny_llama(place / "base", 16);
  place.write("base/vocab.json", numbered(kTokens).dump());
  place.write("base/merges.txt", "b e\n");
  place.write("base/tokenizer_config.json", R"({"tokenizer_class": "None"})");
  Names tried;
  for (const FamilyRow& row : families_of_files()) tried.insert(row.names.begin(), row.names.end());
  EXPECT_EQ(listed(place.lora(eval("base", "old.jsonl")).err, "(known: ", ")"), tried);
}

// The tokenizer of a folder counts the words of a prompt that is too long for the text encoder; the
// second one of SDXL fills its captions up with other ids.
TEST(CliSmokeTokenizers, ClipOfImageModels) {
  const Workplace place;
  write_captioned(place, "pictures");
  const LongPrompt prompt = long_prompt();
  fs::copy(inputs() / "sd/sdxl/tiny-sdxl", place / "sdxl", fs::copy_options::recursive);
  fs::copy(place / "sdxl", place / "other", fs::copy_options::recursive);
  fs::remove_all(place / "other/tokenizer_2");
  place.write("c.yaml", join("task_type: text-to-image\ntrain_data_dir: pictures\nresolution: 64\n",
                             "output_dir: output/v\nmax_steps: 1\nthreads: 1\nsample_negative: '",
                             prompt.text, "'\n"));
  std::vector<Words> commands;
  for (const std::string base : {inputs() / "sd/tiny-sd15", place / "sdxl"}) {
    commands.push_back({"train", "--config", "c.yaml", "--check", "base_model=" + base});
  }
  for (const char* base : {"sdxl", "other"}) commands.push_back(eval(base, "pictures"));
  const std::vector<Ran> results = run_each(place, commands);
  for (const int i : {0, 1}) {
    EXPECT_EQ(results[i].code, 0) << results[i].err;
    EXPECT_THAT(results[i].err, testing::HasSubstr(prompt.note));
  }
  EXPECT_NE(loss_of(results[2]), loss_of(results[3]));
}

// Ids of `text` where another program's tests say them: FILE.inp and FILE.out.
Ids vector_ids(const Path& stem, const std::string& text) {
  const std::string mark = "\n__ggml_vocab_test__\n";
  const std::string input = read_file(stem.string() + ".inp");
  const std::size_t at = input.find(mark + text + mark);
  std::size_t number = 1;
  for (std::size_t next = input.find(mark); next < at; next = input.find(mark, next + 1)) ++number;
  Ids ids;
  const std::string line = split(read_file(stem.string() + ".out"), '\n').at(number);
  for (const std::string& id : split(line, ' ')) {
    if (!id.empty()) ids.push_back(std::stoll(id));
  }
  return ids;
}

struct RealRow {
  std::string folder, vector;
  std::int64_t vocabulary;
};

TEST(CliSmokeTokenizers, FilesOfOthers) {
  const std::vector<RealRow> rows = {{"llama-2", "llama-spm", 32000},
                                     {"llama2.c", "llama-spm", 32000},
                                     {"llama-3", "llama-bpe", 128256},
                                     {"gpt-2", "gpt-2", 50257},
                                     {"qwen2.5", "qwen2", 151936}};
  const std::string text = "Hello, y'all! How are you 😁 ?我想在apple工作1314151天～";
  const Workplace place;
  std::vector<Sample> samples;
  for (const RealRow& row : rows) {
    const Path folder = data() / "tokenizers" / row.folder;
    LORA_SKIP_WITHOUT(folder);
    fs::copy(folder, place / row.folder);
    write_tiny_llama(place / row.folder, row.vocabulary);
    if (row.folder == "gpt-2") {
      place.write("gpt-2/tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer"})");
    }
    const Path vector = data() / "tokenizers/vectors" / ("ggml-vocab-" + row.vector + ".gguf");
    samples.push_back({row.folder, vector_ids(vector, text), text});
  }
  const std::vector<Ids> found = trained_ids(place, samples);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Ids& wanted = samples[i].ids;
    ASSERT_GT(wanted.size(), 20U);
    const auto at = std::search(found[i].begin(), found[i].end(), wanted.begin(), wanted.end());
    EXPECT_NE(at, found[i].end()) << samples[i].name;
    EXPECT_LE(found[i].size(), wanted.size() + 2) << "one token in front, one behind";
  }
}

}  // namespace
}  // namespace lora::test
