// SPDX-License-Identifier: Apache-2.0
// For tests: every byte is a token, and a few special ones.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace lora::test {

class FakeTokenizer final : public Tokenizer {
 public:
  explicit FakeTokenizer(std::string chat_template = "") {
    special_ = {.bos = 1, .eos = 2, .pad = 0, .unk = {}};
    bos_token_ = kSpecial[1];
    eos_token_ = kSpecial[2];
    chat_template_ = std::move(chat_template);
    fingerprint_ = std::string(64, '0');
    add_bos_ = true;
  }

  std::vector<std::int64_t> encode(std::string_view text,
                                   const EncodeOptions& options) const override {
    std::vector<std::int64_t> out;
    if (options.add_special) out.push_back(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::int64_t found = options.parse_special ? special_at(text.substr(i)) : -1;
      if (found >= 0) {
        out.push_back(found);
        i += kSpecial[static_cast<std::size_t>(found)].size() - 1;
      } else {
        out.push_back(kFirstByte + static_cast<unsigned char>(text[i]));
      }
    }
    return out;
  }
  std::string decode(std::span<const std::int64_t> ids, bool skip_special) const override {
    std::string out;
    for (const std::int64_t id : ids) {
      if (!skip_special || id >= kFirstByte) out += token_of(id);
    }
    return out;
  }
  std::int64_t vocabulary() const override { return kFirstByte + 256; }
  std::optional<std::int64_t> id_of(std::string_view token) const override {
    const std::int64_t found = special_at(token);
    if (found >= 0) return found;
    return token.size() == 1
               ? std::optional<std::int64_t>(kFirstByte + static_cast<unsigned char>(token[0]))
               : std::nullopt;
  }
  std::string token_of(std::int64_t id) const override {
    if (id < kFirstByte) return std::string(kSpecial[static_cast<std::size_t>(id)]);
    return std::string(1, static_cast<char>(id - kFirstByte));
  }

 private:
  static constexpr std::int64_t kFirstByte = 8;
  static constexpr std::array<std::string_view, 8> kSpecial = {
      "<pad>",      "<s>",        "</s>",          "<|im_start|>",
      "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|assistant|>"};
  static std::int64_t special_at(std::string_view text) {
    for (std::size_t i = 0; i < kSpecial.size(); ++i) {
      if (text.starts_with(kSpecial[i])) return static_cast<std::int64_t>(i);
    }
    return -1;
  }
};

// The text of the tokens that are targets.
inline std::string trained_text(const Tokenizer& tokenizer, const std::vector<std::int64_t>& ids,
                                const std::vector<std::int64_t>& labels) {
  std::vector<std::int64_t> kept;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (labels[i] >= 0) kept.push_back(ids[i]);
  }
  return tokenizer.decode(kept, false);
}

}  // namespace lora::test
