// SPDX-License-Identifier: Apache-2.0
// The tokenizer of CLIP's text encoders: lower case, NFC, byte-level BPE with </w> behind every
// word, as transformers' CLIPTokenizer computes it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace lora {

// Immutable and thread-safe.
class ClipTokenizer {
 public:
  // `folder` holds vocab.json and merges.txt, beside them tokenizer_config.json and
  // special_tokens_map.json if there. Throws Error naming the file and what is wrong.
  static std::shared_ptr<const ClipTokenizer> load(const Path& folder);

  // BOS, the text's ids, EOS; not truncated.
  std::vector<std::int64_t> encode(std::string_view text) const;
  // The text's ids alone, for those who cut long prompts into chunks themselves.
  std::vector<std::int64_t> encode_plain(std::string_view text) const;
  // Exactly `length` ids: encode(), cut to length - 1 ids and EOS, or filled up with pad().
  std::vector<std::int64_t> encode_padded(std::string_view text, std::int64_t length = 77) const;

  std::int64_t bos() const { return *tokenizer_->special().bos; }
  std::int64_t eos() const { return *tokenizer_->special().eos; }
  std::int64_t pad() const { return *tokenizer_->special().pad; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  explicit ClipTokenizer(std::shared_ptr<const Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}
  std::shared_ptr<const Tokenizer> tokenizer_;
};

}  // namespace lora
