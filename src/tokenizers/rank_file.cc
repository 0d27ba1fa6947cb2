// SPDX-License-Identifier: Apache-2.0
// Rank files of tiktoken: a line holds the base64 of a token's bytes, a space and its rank, which
// is also its id. Two neighbours merge where their joined bytes are a token; the lowest rank first.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "tokenizers/bpe.h"
#include "tokenizers/files.h"
#include "tokenizers/pipeline.h"

namespace lora {

namespace {

// Llama-3's pattern for pre-tokenizing (meta-llama/llama3, model card).
constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

int value_of(char c) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t at = kDigits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  unsigned collected = 0;
  int bits = 0;
  for (const char c : text) {
    const int value = value_of(c);
    if (value < 0) return std::nullopt;
    collected = (collected << 6 | static_cast<unsigned>(value)) & 0xFFFF;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(collected >> bits & 0xFF);
  }
  return bytes;
}

// Far more than any vocabulary has: merges_of tries every cut of a token.
constexpr std::size_t kLongestToken = 1024;

struct Rank {
  std::string bytes;
  std::int64_t rank;
};

std::optional<Rank> read_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  auto bytes = from_base64(line.substr(0, space));
  std::int64_t rank = -1;
  const char* end = line.data() + line.size();
  if (std::from_chars(line.data() + space + 1, end, rank).ptr != end || rank < 0) {
    return std::nullopt;
  }
  if (!bytes || bytes->empty() || bytes->size() > kLongestToken) return std::nullopt;
  return Rank{std::move(*bytes), rank};
}

std::vector<Rank> read_lines(const Path& file) {
  std::vector<Rank> ranks;
  std::size_t number = 0;
  for (const std::string& line : split(read_tokenizer_file(file), '\n')) {
    ++number;
    const std::string text = trim(line);
    if (text.empty()) continue;
    auto rank = read_line(text);
    if (!rank) {
      fail(file.string(), ":", number, ": this is no line of a rank file (found '",
           text.substr(0, 60),
           "', expected base64, a space and a rank); take the file from the "
           "original model");
    }
    ranks.push_back(std::move(*rank));
  }
  return ranks;
}

// Every way to make a token of two tokens, with the token's rank.
std::vector<Merge> merges_of(const std::vector<Rank>& ranks) {
  TextMap<bool> known;
  for (const Rank& one : ranks) known.emplace(one.bytes, true);
  std::vector<Merge> merges;
  for (const Rank& one : ranks) {
    const std::string_view bytes = one.bytes;
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
      const std::string_view left = bytes.substr(0, cut), right = bytes.substr(cut);
      if (known.find(left) == known.end() || known.find(right) == known.end()) continue;
      merges.push_back({to_byte_characters(left), to_byte_characters(right),
                        static_cast<std::uint32_t>(one.rank)});
    }
  }
  return merges;
}

// The 256 special tokens of Llama 3.1 and later, whose ids follow the ranks.
std::vector<AddedToken> llama3_tokens(std::int64_t first) {
  constexpr const char* kNames[] = {"<|begin_of_text|>",
                                    "<|end_of_text|>",
                                    "<|reserved_special_token_0|>",
                                    "<|reserved_special_token_1|>",
                                    "<|finetune_right_pad_id|>",
                                    "<|step_id|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|eom_id|>",
                                    "<|eot_id|>",
                                    "<|python_tag|>"};
  constexpr std::size_t kCount = 256;
  std::vector<AddedToken> tokens;
  for (std::size_t i = 0; i < kCount; ++i) {
    AddedToken token;
    token.id = first + static_cast<std::int64_t>(i);
    token.text = i < std::size(kNames)
                     ? kNames[i]
                     : join("<|reserved_special_token_", i - std::size(kNames) + 2, "|>");
    token.special = true;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

bool looks_like_ranks(std::string_view bytes) {
  return read_line(trim(bytes.substr(0, std::min(bytes.find('\n'), std::size_t{1024}))))
      .has_value();
}

PipelineParts read_ranks(const Path& file) {
  const std::vector<Rank> ranks = read_lines(file);
  Vocabulary vocabulary;
  for (const Rank& one : ranks) {
    vocabulary.add(to_byte_characters(one.bytes), one.rank, file.string());
  }
  PipelineParts parts;
  parts.files = {file};
  const std::int64_t count = vocabulary.size();
  BpeOptions options;
  options.ignore_merges = true;
  parts.model =
      std::make_unique<Bpe>(std::move(vocabulary), merges_of(ranks), options, file.string());
  parts.added = added_tokens_of_config(file.parent_path());
  if (parts.added.empty()) parts.added = llama3_tokens(count);
  const nlohmann::json pre_tokenizer = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", kLlama3Pattern}}}, {"behavior", "Isolated"}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  parts.pre_tokenizer = make_pre_tokenizer(pre_tokenizer, file.string());
  parts.decoder = make_decoder({{"type", "ByteLevel"}}, file.string());
  parts.special = {"<|begin_of_text|>", "<|end_of_text|>", "", ""};
  parts.template_from_config = true;
  parts.add_bos = true;
  return parts;
}

}  // namespace lora
