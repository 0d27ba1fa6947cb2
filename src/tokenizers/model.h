// SPDX-License-Identifier: Apache-2.0
// TokenModel: pieces of normalized text to ids. Vocabulary: tokens by id and ids by token.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lora {

// Lets unordered_map<std::string, ...> be searched by string_view without a copy.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
template <typename Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  // `where` names the file. Throws Error for a negative or huge id, and for an id or a token that
  // is taken.
  void add(const std::string& token, std::int64_t id, const std::string& where);
  std::optional<std::int64_t> find(std::string_view token) const;
  // nullptr for an id without a token.
  const std::string* token(std::int64_t id) const;
  std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }  // largest id + 1
  bool empty() const { return ids_.empty(); }

 private:
  TextMap<std::int64_t> ids_;
  std::vector<const std::string*> tokens_;  // point into ids_, whose nodes never move
};

// Ids of words met before. Used by one thread at a time.
class WordCache {
 public:
  static constexpr std::size_t kLongestWord = 64;  // bytes
  const std::vector<std::int32_t>* find(std::string_view word) const;
  void add(std::string_view word, std::vector<std::int32_t> ids);

 private:
  static constexpr std::size_t kMostWords = 1 << 17;
  TextMap<std::vector<std::int32_t>> words_;
};

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of `word` (one piece of pre-tokenized text, valid UTF-8).
  virtual void encode(std::string_view word, WordCache& cache,
                      std::vector<std::int64_t>& out) const = 0;
  const Vocabulary& vocabulary() const { return vocabulary_; }
  // The token for unknown text, "" where there is none.
  virtual const std::string& unknown() const = 0;

 protected:
  Vocabulary vocabulary_;
};

}  // namespace lora
