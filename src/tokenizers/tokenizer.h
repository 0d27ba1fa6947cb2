// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back, as Hugging Face tokenizers 0.23 and SentencePiece compute it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace lora {

struct SpecialIds {
  std::optional<std::int64_t> bos, eos, pad, unk;
};

struct EncodeOptions {
  bool add_special = false;  // what the post-processor adds (BOS, EOS)
  // Recognise special tokens such as <|im_end|> inside the text. Added tokens that are not special
  // are words of the vocabulary and always recognised (as with encode_special_tokens there).
  bool parse_special = true;
};

// Immutable and thread-safe.
class Tokenizer {
 public:
  // `path`: a folder (tokenizer.json, else tokenizer.model of SentencePiece or tiktoken kind, else
  // vocab.json + merges.txt) or one of these files. tokenizer_config.json, special_tokens_map.json,
  // generation_config.json and config.json beside it supply special tokens.
  // Throws Error naming the file and what is wrong.
  static std::shared_ptr<const Tokenizer> load(const Path& path);
  virtual ~Tokenizer() = default;

  virtual std::vector<std::int64_t> encode(std::string_view text,
                                           const EncodeOptions& options = {}) const = 0;
  // Ids without a token (models often have more rows than tokens) give no text.
  virtual std::string decode(std::span<const std::int64_t> ids,
                             bool skip_special = false) const = 0;
  virtual std::int64_t vocabulary() const = 0;  // largest id + 1, with added tokens
  virtual std::optional<std::int64_t> id_of(std::string_view token) const = 0;
  virtual std::string token_of(std::int64_t id) const = 0;  // Error for an id without a token
  virtual bool is_special(std::int64_t /*id*/) const { return false; }

  const SpecialIds& special() const { return special_; }
  // Ids that end a generated text: EOS and what generation_config.json (else config.json) adds.
  const std::vector<std::int64_t>& stop_ids() const { return stop_ids_; }
  // Texts of the special tokens ("" where there is none), for chat templates.
  const std::string& bos_token() const { return bos_token_; }
  const std::string& eos_token() const { return eos_token_; }
  // Jinja text of the chat template: tokenizer_config.json (string or list, "default" of it) or
  // chat_template.jinja; "" where there is none.
  const std::string& chat_template() const { return chat_template_; }
  // tokenizer_config.json's add_bos_token / add_eos_token where given.
  std::optional<bool> add_bos() const { return add_bos_; }
  std::optional<bool> add_eos() const { return add_eos_; }
  // SHA-256 of the files that define the tokenizer.
  const std::string& fingerprint() const { return fingerprint_; }

 protected:
  SpecialIds special_;
  std::vector<std::int64_t> stop_ids_;
  std::string bos_token_, eos_token_, chat_template_, fingerprint_;
  std::optional<bool> add_bos_, add_eos_;
};

}  // namespace lora
