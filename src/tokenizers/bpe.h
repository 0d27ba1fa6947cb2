// SPDX-License-Identifier: Apache-2.0
// Byte-pair encoding: merges the adjacent pair of lowest rank, the leftmost on a tie, until no
// pair has a rank. Sennrich et al. 2016; details (byte fallback, fusing of unknown characters,
// ignore_merges, prefix and suffix) as the BPE model of Hugging Face tokenizers.
#pragma once

#include <bitset>
#include <memory>
#include <unordered_set>
#include <utility>

#include "tokenizers/model.h"

namespace lora {

struct BpeOptions {
  std::string unknown;            // token for characters outside of the vocabulary; "": dropped
  bool fuse_unknown = false;      // consecutive unknown characters give one token
  bool byte_fallback = false;     // unknown characters become <0xNN> tokens where all exist
  bool ignore_merges = false;     // a whole word of the vocabulary is taken as it is
  std::string continuing_prefix;  // in front of every character but the first of a word
  std::string word_suffix;        // behind the last character of a word
};

struct Merge {
  std::string left, right;
  std::uint32_t rank = 0;
};

// Open addressing from a pair of ids to (rank, id of the merged token).
class MergeTable {
 public:
  struct Entry {
    std::uint64_t pair = ~0ULL;
    std::uint32_t rank = 0;
    std::int32_t id = 0;
  };
  void reserve(std::size_t count);
  void add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t id);
  const Entry* find(std::int32_t left, std::int32_t right) const;

 private:
  static std::uint64_t key(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t slot(std::uint64_t pair) const {
    return static_cast<std::size_t>((pair * 0x9E3779B97F4A7C15ULL) >> shift_);
  }
  std::vector<Entry> entries_;
  int shift_ = 63;
};

class Bpe : public TokenModel {
 public:
  // `where` names the file. Throws Error where a merge or the unknown token names something outside
  // of the vocabulary.
  Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options,
      const std::string& where);

  void encode(std::string_view word, WordCache& cache,
              std::vector<std::int64_t>& out) const override;
  const std::string& unknown() const override { return options_.unknown; }

 private:
  struct Symbol;
  struct Candidate;

  void add_merges(const std::vector<Merge>& merges, const std::string& where);
  void find_joints(const std::vector<Merge>& merges);
  void add_joints(std::string_view token);
  bool joint(std::uint32_t left, std::uint32_t right) const;
  std::size_t chunk_end(std::string_view word, std::size_t start) const;
  void append(std::string_view chunk, WordCache& cache, std::size_t word_start,
              std::vector<std::int64_t>& out) const;
  std::vector<std::int32_t> merged(std::string_view chunk) const;
  void add_symbols(std::string_view chunk, std::vector<Symbol>& symbols) const;
  bool add_bytes(std::string_view character, std::vector<Symbol>& symbols) const;
  void merge(std::vector<Symbol>& symbols) const;

  BpeOptions options_;
  MergeTable merges_;
  std::vector<std::int32_t> bytes_;  // id of <0xNN>, -1 where there is none
  std::int32_t unknown_id_ = -1;
  // Pairs of neighbouring characters inside any merged token. Between two characters that are no
  // such pair nothing can ever merge, so a long text falls into independent chunks there.
  bool chunks_ = false;
  std::bitset<128 * 128> ascii_joints_;
  std::unordered_set<std::uint64_t> joints_;
};

}  // namespace lora
