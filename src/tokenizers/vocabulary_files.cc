// SPDX-License-Identifier: Apache-2.0
// vocab.json + merges.txt (+ added_tokens.json), the files before tokenizer.json, and the same
// files of CLIP's text encoders.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "base/utf8.h"
#include "tokenizers/bpe.h"
#include "tokenizers/files.h"
#include "tokenizers/pipeline.h"

namespace lora {

using nlohmann::json;

namespace {

constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kClipPattern =
    R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+)";

json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", use_regex}};
}

json split(const char* pattern, const char* behavior, bool invert) {
  const json step = {{"type", "Split"},
                     {"pattern", {{"Regex", pattern}}},
                     {"behavior", behavior},
                     {"invert", invert}};
  return {{"type", "Sequence"}, {"pretokenizers", {step, byte_level(false)}}};
}

Vocabulary read_vocabulary(const Path& path) {
  const json object = read_object(path);
  if (object.empty())
    fail(path.string(),
         ": the vocabulary is empty; take the file from the "
         "original model");
  Vocabulary vocabulary;
  for (const auto& [token, id] : object.items()) {
    if (!id.is_number_integer()) {
      fail(path.string(), ": token '", token, "' has no usable id (found ", id.dump(),
           ", expected a whole number); take the file from the original model");
    }
    vocabulary.add(token, id.get<std::int64_t>(), path.string());
  }
  return vocabulary;
}

std::vector<Merge> read_merges(const Path& path) {
  const std::string content = read_tokenizer_file(path);
  if (const auto invalid = first_invalid_utf8(content)) {
    fail(path.string(), ": this is not valid UTF-8 (found a wrong byte at position ", *invalid,
         "); take the file from the original model");
  }
  std::vector<Merge> merges;
  std::size_t number = 0;
  for (std::string line : lora::split(content, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    const std::size_t space = line.find(' ');
    if (space == 0 || space == std::string::npos || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string::npos) {
      fail(path.string(), ":", number, ": this is no merge (found '", line,
           "', expected two tokens with a space between them); take the file from the original "
           "model");
    }
    merges.push_back(
        {line.substr(0, space), line.substr(space + 1), static_cast<std::uint32_t>(merges.size())});
  }
  return merges;
}

PipelineParts read_pair(const Path& folder, const BpeOptions& options) {
  PipelineParts parts;
  parts.files = {folder / "vocab.json", folder / "merges.txt"};
  for (const Path& file : parts.files) {
    if (std::filesystem::exists(file)) continue;
    fail(file.string(),
         ": no such file (expected vocab.json with merges.txt beside it); copy both "
         "from the original model");
  }
  Vocabulary vocabulary = read_vocabulary(parts.files[0]);
  parts.model = std::make_unique<Bpe>(std::move(vocabulary), read_merges(parts.files[1]), options,
                                      parts.files[1].string());
  parts.decoder = make_decoder({{"type", "ByteLevel"}}, folder.string());
  parts.template_from_config = true;
  return parts;
}

PipelineParts read_byte_level(const Path& folder) {
  PipelineParts parts = read_pair(folder, {});
  if (parts.model->vocabulary().find("<|endoftext|>")) {
    parts.special = {"<|endoftext|>", "<|endoftext|>", "", "<|endoftext|>"};
  }
  add_tokens_beside(parts, folder);
  return parts;
}

PipelineParts read_gpt2(const Path& folder) {
  PipelineParts parts = read_byte_level(folder);
  parts.pre_tokenizer = make_pre_tokenizer(byte_level(true), folder.string());
  return parts;
}

PipelineParts read_qwen2(const Path& folder) {
  PipelineParts parts = read_byte_level(folder);
  parts.normalizer = make_normalizer({{"type", "NFC"}}, folder.string());
  parts.pre_tokenizer =
      make_pre_tokenizer(split(kQwen2Pattern, "Isolated", false), folder.string());
  return parts;
}

struct Family {
  std::string_view name, help;
  PipelineParts (*read)(const Path&);
};

// By tokenizer_class of tokenizer_config.json ("Fast" left off) or model_type of config.json.
constexpr Family kFamilies[] = {
    {"GPT2Tokenizer", "GPT-2's pattern", read_gpt2},
    {"gpt2", "GPT-2's pattern", read_gpt2},
    {"opt", "GPT-2's pattern", read_gpt2},
    {"Qwen2Tokenizer", "NFC, Qwen2's pattern", read_qwen2},
    {"qwen2", "NFC, Qwen2's pattern", read_qwen2},
    {"qwen3", "NFC, Qwen2's pattern", read_qwen2},
    {"CLIPTokenizer", "lower case, </w> behind words", read_clip_files},
    {"clip_text_model", "lower case, </w> behind words", read_clip_files},
};

// Qwen2 is the family of such files with ChatML's tokens.
bool has_chat_token(const Path& folder) {
  if (read_object_if_there(folder / "added_tokens.json").contains("<|im_start|>")) return true;
  const std::vector<AddedToken> tokens = added_tokens_of_config(folder);
  return std::any_of(tokens.begin(), tokens.end(),
                     [](const AddedToken& token) { return token.text == "<|im_start|>"; });
}

const Family& family_of(const Path& folder) {
  const std::span<const Family> table(kFamilies);
  const Path settings = folder / "tokenizer_config.json";
  const json object = read_object_if_there(settings);
  std::string name = Section(object, settings.string(), kTakeOriginal).text("tokenizer_class", "");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (const Family* family = find_row(table, name)) return *family;
  if (name.empty() || name == "PreTrainedTokenizer" || name == "TokenizersBackend") {
    const Path config = folder / "config.json";
    if (!std::filesystem::exists(config)) {
      return *find_row(table, has_chat_token(folder) ? "Qwen2Tokenizer" : "GPT2Tokenizer");
    }
    const json model = read_object(config);
    name = Section(model, config.string(), kTakeOriginal).text("model_type", "");
  }
  return row_of(table, folder.string() + ": kind of vocab.json with merges.txt", name);
}

}  // namespace

PipelineParts read_vocabulary_files(const Path& folder) { return family_of(folder).read(folder); }

PipelineParts read_clip_files(const Path& folder) {
  BpeOptions options;
  options.unknown = "<|endoftext|>";
  options.word_suffix = "</w>";
  PipelineParts parts = read_pair(folder, options);
  const std::string where = folder.string();
  const json white = {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}};
  const json word_end = {{"type", "Replace"}, {"pattern", {{"String", "</w>"}}}, {"content", " "}};
  parts.normalizer = make_normalizer(
      {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, white, {{"type", "Lowercase"}}}}},
      where);
  parts.pre_tokenizer = make_pre_tokenizer(split(kClipPattern, "Removed", true), where);
  parts.decoder = make_decoder(
      {{"type", "Sequence"}, {"decoders", {{{"type", "ByteLevel"}}, word_end}}}, where);
  parts.special = {"<|startoftext|>", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>"};
  add_tokens_beside(parts, folder);
  parts.add_bos = parts.add_eos = true;
  return parts;
}

}  // namespace lora
