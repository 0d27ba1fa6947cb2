// SPDX-License-Identifier: Apache-2.0
// Added tokens: found in the text before anything else looks at it.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "tokenizers/steps.h"

namespace lora {

struct AddedToken {
  std::int64_t id = 0;
  std::string text;
  bool special = false;      // left out by decode(skip_special)
  bool single_word = false;  // only between characters that are no \w
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // takes the white space behind it along
  bool normalized = false;   // looked for in the normalized text, itself normalized
};

class AddedTokens {
 public:
  // An id, or a text in which there is none.
  struct Part {
    std::int64_t id = -1;
    std::string_view text;
  };

  // Of two tokens with the same text the first counts.
  AddedTokens() = default;
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer);

  // The parts of raw or of normalized text. Without `parse_special` special tokens are text.
  std::vector<Part> split(std::string_view text, bool in_normalized, bool parse_special) const;
  bool is_special(std::int64_t id) const { return special_.contains(id); }

 private:
  // Longest match first: a trie as a map from (node, byte) to node.
  struct Trie {
    std::map<std::pair<int, unsigned char>, int> edges;
    std::vector<int> token_at{-1};  // by node
    bool starts[256] = {};
    void add(std::string_view text, int token);
    // {token, length}, token -1 for none.
    std::pair<int, std::size_t> longest(std::string_view text) const;
  };

  std::vector<AddedToken> tokens_;
  std::set<std::int64_t> special_;
  Trie raw_, normalized_;
};

}  // namespace lora
