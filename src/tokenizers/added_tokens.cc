// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/added_tokens.h"

#include <algorithm>

#include "base/utf8.h"
#include "tokenizers/unicode.h"

namespace lora {

namespace {

// Where the white space that ends at `end` starts.
std::size_t white_start(std::string_view text, std::size_t end) {
  for (std::size_t at = end; end > 0 && unicode::is_white(unicode::previous(text, at));) end = at;
  return end;
}

// Where the white space that starts at `start` ends.
std::size_t white_end(std::string_view text, std::size_t start) {
  for (std::size_t at = start;
       start < text.size() && unicode::is_white(next_code_point(text, at));) {
    start = at;
  }
  return start;
}

bool stands_alone(std::string_view text, std::size_t start, std::size_t end) {
  if (start > 0 && unicode::is_word(unicode::previous(text, start))) return false;
  return end == text.size() || !unicode::is_word(next_code_point(text, end));
}

}  // namespace

void AddedTokens::Trie::add(std::string_view text, int token) {
  if (text.empty()) return;
  starts[static_cast<unsigned char>(text.front())] = true;
  int node = 0;
  for (const char c : text) {
    const auto [place, fresh] =
        edges.try_emplace({node, static_cast<unsigned char>(c)}, static_cast<int>(token_at.size()));
    if (fresh) token_at.push_back(-1);
    node = place->second;
  }
  if (token_at[static_cast<std::size_t>(node)] < 0)
    token_at[static_cast<std::size_t>(node)] = token;
}

std::pair<int, std::size_t> AddedTokens::Trie::longest(std::string_view text) const {
  std::pair<int, std::size_t> best{-1, 0};
  int node = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto edge = edges.find({node, static_cast<unsigned char>(text[i])});
    if (edge == edges.end()) break;
    node = edge->second;
    const int token = token_at[static_cast<std::size_t>(node)];
    if (token >= 0) best = {token, i + 1};
  }
  return best;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer)
    : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    if (token.special) special_.insert(token.id);
    const std::string form = token.normalized && normalizer ? normalizer(token.text) : token.text;
    // Llama-2's files mark <s> as normalized and prepend U+2581 to every text, by which "</s><s>"
    // would fall into characters. A special token that the normalizer only lengthens is therefore
    // looked for as it is written.
    const bool lengthened = token.special && form != token.text && form.ends_with(token.text);
    const bool raw = !token.normalized || lengthened;
    (raw ? raw_ : normalized_).add(raw ? token.text : form, static_cast<int>(i));
  }
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool in_normalized,
                                                  bool parse_special) const {
  const Trie& trie = in_normalized ? normalized_ : raw_;
  std::vector<Part> parts;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (!trie.starts[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const auto [index, length] = trie.longest(text.substr(at));
    if (index < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(index)];
    std::size_t start = at, end = at + length;
    at = end;
    if (start < done || (token.special && !parse_special)) continue;
    if (token.single_word && !stands_alone(text, start, end)) continue;
    if (token.lstrip) start = std::max(white_start(text, start), done);
    if (token.rstrip) end = white_end(text, end);
    if (start > done) parts.push_back({-1, text.substr(done, start - done)});
    parts.push_back({token.id, text.substr(start, end - start)});
    done = end;
  }
  if (done < text.size()) parts.push_back({-1, text.substr(done)});
  return parts;
}

}  // namespace lora
