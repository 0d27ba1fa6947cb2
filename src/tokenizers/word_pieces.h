// SPDX-License-Identifier: Apache-2.0
// Ids of a WordPiece (BERT) vocabulary to text: all that a captioning model needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"

namespace lora {

class WordPieces {
 public:
  // vocab.txt (one token a line) or tokenizer.json of kind WordPiece in `folder`.
  static WordPieces load(const Path& folder);

  // Pieces joined ("##" continues a word), special tokens ("[...]") left out, blanks before
  // punctuation removed, as BERT tokenizers decode.
  std::string text(const std::vector<std::int64_t>& ids) const;

 private:
  std::vector<std::string> tokens_;
};

}  // namespace lora
