// SPDX-License-Identifier: Apache-2.0
// Pipeline: added tokens, normalizer, pre-tokenizer, model, post-processor, decoder. Every kind of
// tokenizer file is read into these parts.
#pragma once

#include <memory>
#include <mutex>

#include "tokenizers/added_tokens.h"
#include "tokenizers/model.h"
#include "tokenizers/steps.h"
#include "tokenizers/tokenizer.h"

namespace lora {

// Texts of special tokens by default, where no file beside the tokenizer states them.
struct SpecialTexts {
  std::string bos, eos, pad, unk;
};

struct PipelineParts {
  std::unique_ptr<TokenModel> model;
  std::vector<AddedToken> added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  PostProcessor post_processor;
  Decoder decoder;
  SpecialTexts special;
  // The kinds of file without a post-processor: BOS and EOS as tokenizer_config.json says, else so.
  bool template_from_config = false;
  bool add_bos = false, add_eos = false;
  std::vector<Path> files;  // what defines the tokenizer; the first one is named in messages
};

class Pipeline : public Tokenizer {
 public:
  // `folder` holds the files that name special tokens and the chat template.
  Pipeline(PipelineParts parts, const Path& folder);
  ~Pipeline() override;

  std::vector<std::int64_t> encode(std::string_view text,
                                   const EncodeOptions& options) const override;
  std::string decode(std::span<const std::int64_t> ids, bool skip_special) const override;
  std::int64_t vocabulary() const override;
  std::optional<std::int64_t> id_of(std::string_view token) const override;
  std::string token_of(std::int64_t id) const override;
  bool is_special(std::int64_t id) const override { return added_.is_special(id); }

 private:
  void take_added(const std::string& where);
  void take_special_texts(const Path& folder);
  void take_special_ids(const Path& folder);
  void take_template();
  const std::string* find_token(std::int64_t id) const;
  void encode_text(std::string_view text, bool at_start, WordCache& cache,
                   std::vector<std::int64_t>& out) const;

  PipelineParts parts_;
  Vocabulary added_ids_;
  AddedTokens added_;
  // A cache of words is lent to one thread at a time.
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<WordCache>> caches_;
};

// Readers of the kinds of files; all throw Error naming the file.
PipelineParts read_tokenizer_json(const Path& file);
PipelineParts read_sentencepiece(const Path& file);
PipelineParts read_ranks(const Path& file);  // tiktoken, with Llama-3's pattern and tokens
// vocab.json + merges.txt (+ added_tokens.json); which family: tokenizer_config.json, config.json
// or the added tokens say.
PipelineParts read_vocabulary_files(const Path& folder);
// The same files of CLIP's text encoders.
PipelineParts read_clip_files(const Path& folder);

// For the kinds of files without added_tokens of their own: appends what added_tokens.json,
// tokenizer_config.json and special_tokens_map.json add, and the tokens of parts.special.
void add_tokens_beside(PipelineParts& parts, const Path& folder);

// Whether the bytes of a tokenizer.model are lines of base64 and rank.
bool looks_like_ranks(std::string_view bytes);

}  // namespace lora
