// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/clip_tokenizer.h"

#include "base/error.h"
#include "tokenizers/pipeline.h"

namespace lora {

std::shared_ptr<const ClipTokenizer> ClipTokenizer::load(const Path& folder) {
  auto tokenizer = std::make_shared<Pipeline>(read_clip_files(folder), folder);
  const SpecialIds& special = tokenizer->special();
  if (!special.bos || !special.eos || !special.pad) {
    fail(folder.string(),
         ": a special token is missing (expected <|startoftext|> and "
         "<|endoftext|> in vocab.json); take the files from the original model");
  }
  return std::shared_ptr<const ClipTokenizer>(new ClipTokenizer(std::move(tokenizer)));
}

std::vector<std::int64_t> ClipTokenizer::encode(std::string_view text) const {
  return tokenizer_->encode(text, {.add_special = true});
}

std::vector<std::int64_t> ClipTokenizer::encode_plain(std::string_view text) const {
  return tokenizer_->encode(text);
}

std::vector<std::int64_t> ClipTokenizer::encode_padded(std::string_view text,
                                                       std::int64_t length) const {
  std::vector<std::int64_t> ids = encode(text);
  const auto size = static_cast<std::size_t>(length);
  if (ids.size() > size) {
    ids.resize(size);
    ids.back() = eos();
  }
  ids.resize(size, pad());
  return ids;
}

}  // namespace lora
