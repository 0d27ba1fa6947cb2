// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <queue>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizers/unicode.h"

namespace lora {

void MergeTable::reserve(std::size_t count) {
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(count * 2, 16));
  entries_.assign(size, Entry{});
  shift_ = 64 - std::countr_zero(size);
}

void MergeTable::add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t id) {
  const std::uint64_t pair = key(left, right);
  std::size_t at = slot(pair);
  while (entries_[at].pair != ~0ULL && entries_[at].pair != pair) {
    at = (at + 1) & (entries_.size() - 1);
  }
  entries_[at] = {pair, rank, id};  // of two equal merges the later one counts
}

const MergeTable::Entry* MergeTable::find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = key(left, right);
  for (std::size_t at = slot(pair);; at = (at + 1) & (entries_.size() - 1)) {
    if (entries_[at].pair == pair) return &entries_[at];
    if (entries_[at].pair == ~0ULL) return nullptr;
  }
}

struct Bpe::Symbol {
  std::int32_t id;  // -1: merged into its left neighbour
  std::uint32_t previous, next;
};

struct Bpe::Candidate {
  std::uint64_t order;  // rank << 32 | position: the smallest comes first
  std::int32_t left, right, id;
  bool operator<(const Candidate& other) const { return order > other.order; }
};

Bpe::Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options,
         const std::string& where)
    : options_(std::move(options)) {
  vocabulary_ = std::move(vocabulary);
  if (!options_.unknown.empty()) {
    const auto id = vocabulary_.find(options_.unknown);
    if (!id) {
      fail(where, ": unk_token '", options_.unknown,
           "' is not in the vocabulary; take the file from the original model");
    }
    unknown_id_ = static_cast<std::int32_t>(*id);
  }
  if (options_.byte_fallback) {
    bytes_.assign(256, -1);
    for (std::size_t i = 0; i < 256; ++i) {
      const auto id = vocabulary_.find(fmt::format("<0x{:02X}>", i));
      if (id) bytes_[i] = static_cast<std::int32_t>(*id);
    }
  }
  add_merges(merges, where);
  find_joints(merges);
}

void Bpe::add_merges(const std::vector<Merge>& merges, const std::string& where) {
  merges_.reserve(merges.size());
  const std::size_t prefix = options_.continuing_prefix.size();
  const auto id_of = [&](const std::string& token, std::size_t number) {
    const auto id = vocabulary_.find(token);
    if (!id) {
      fail(where, ": merge ", number, " names a token that is not in the vocabulary (found '",
           token, "'); the merges and the vocabulary must come from the same model");
    }
    return static_cast<std::int32_t>(*id);
  };
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const Merge& merge = merges[i];
    const std::int32_t left = id_of(merge.left, i + 1);
    const std::int32_t right = id_of(merge.right, i + 1);
    const std::size_t cut = std::min(prefix, merge.right.size());
    const std::int32_t id = id_of(merge.left + merge.right.substr(cut), i + 1);
    merges_.add(left, right, merge.rank, id);
  }
}

void Bpe::find_joints(const std::vector<Merge>& merges) {
  chunks_ = options_.continuing_prefix.empty() && options_.word_suffix.empty();
  // A <0xNN> token stands for another text than its own.
  const auto is_byte = [&](const std::string& token) {
    const auto id = static_cast<std::int32_t>(*vocabulary_.find(token));
    return id == unknown_id_ || std::find(bytes_.begin(), bytes_.end(), id) != bytes_.end();
  };
  for (const Merge& merge : merges) {
    if (!chunks_) return;
    const bool angled = merge.left.starts_with('<') || merge.right.starts_with('<');
    if (angled && (is_byte(merge.left) || is_byte(merge.right))) chunks_ = false;
    add_joints(merge.left + merge.right);
  }
}

void Bpe::add_joints(std::string_view token) {
  if (token.empty()) return;
  std::size_t at = 0;
  std::uint32_t left = next_code_point(token, at);
  while (at < token.size()) {
    const std::uint32_t right = next_code_point(token, at);
    if (left < 128 && right < 128) {
      ascii_joints_.set(left << 7 | right);
    } else {
      joints_.insert(static_cast<std::uint64_t>(left) << 32 | right);
    }
    left = right;
  }
}

bool Bpe::joint(std::uint32_t left, std::uint32_t right) const {
  if (left < 128 && right < 128) return ascii_joints_.test(left << 7 | right);
  return joints_.contains(static_cast<std::uint64_t>(left) << 32 | right);
}

std::size_t Bpe::chunk_end(std::string_view word, std::size_t start) const {
  std::size_t at = start;
  std::uint32_t left = next_code_point(word, at);
  while (at < word.size()) {
    std::size_t behind = at;
    const std::uint32_t right = next_code_point(word, behind);
    if (!joint(left, right)) break;
    left = right;
    at = behind;
  }
  return at;
}

void Bpe::encode(std::string_view word, WordCache& cache, std::vector<std::int64_t>& out) const {
  const std::size_t word_start = out.size();
  const bool whole = !chunks_ || options_.ignore_merges || word.size() <= WordCache::kLongestWord;
  for (std::size_t start = 0; start < word.size();) {
    const std::size_t end = whole ? word.size() : chunk_end(word, start);
    append(word.substr(start, end - start), cache, word_start, out);
    start = end;
  }
}

void Bpe::append(std::string_view chunk, WordCache& cache, std::size_t word_start,
                 std::vector<std::int64_t>& out) const {
  const bool small = chunk.size() <= WordCache::kLongestWord;
  const std::vector<std::int32_t>* ids = small ? cache.find(chunk) : nullptr;
  std::vector<std::int32_t> fresh;
  if (ids == nullptr) {
    fresh = merged(chunk);
    ids = &fresh;
  }
  const bool fuse = options_.fuse_unknown && out.size() > word_start && !ids->empty() &&
                    unknown_id_ >= 0 && out.back() == unknown_id_ && ids->front() == unknown_id_;
  out.insert(out.end(), ids->begin() + (fuse ? 1 : 0), ids->end());
  if (small && ids == &fresh) cache.add(chunk, std::move(fresh));
}

std::vector<std::int32_t> Bpe::merged(std::string_view chunk) const {
  if (options_.ignore_merges) {
    if (const auto id = vocabulary_.find(chunk)) return {static_cast<std::int32_t>(*id)};
  }
  std::vector<Symbol> symbols;
  add_symbols(chunk, symbols);
  merge(symbols);
  std::vector<std::int32_t> ids;
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
  return ids;
}

void Bpe::add_symbols(std::string_view chunk, std::vector<Symbol>& symbols) const {
  symbols.reserve(chunk.size());
  std::string token;
  bool was_unknown = false;
  for (std::size_t at = 0; at < chunk.size();) {
    const std::size_t start = at;
    at += utf8_length(static_cast<unsigned char>(chunk[at]));
    token.clear();
    if (start > 0) token += options_.continuing_prefix;
    token += chunk.substr(start, at - start);
    if (at == chunk.size()) token += options_.word_suffix;
    const auto id = vocabulary_.find(token);
    if (id) {
      symbols.push_back({static_cast<std::int32_t>(*id), 0, 0});
    } else if (!add_bytes(token, symbols)) {
      const bool fused = options_.fuse_unknown && was_unknown;
      if (unknown_id_ >= 0 && !fused) symbols.push_back({unknown_id_, 0, 0});
      was_unknown = true;
      continue;
    }
    was_unknown = false;
  }
  for (std::uint32_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = i - 1;
    symbols[i].next = i + 1;
  }
}

bool Bpe::add_bytes(std::string_view character, std::vector<Symbol>& symbols) const {
  if (bytes_.empty()) return false;
  const auto id = [&](char byte) { return bytes_[static_cast<unsigned char>(byte)]; };
  if (std::any_of(character.begin(), character.end(), [&](char c) { return id(c) < 0; })) {
    return false;
  }
  for (const char c : character) symbols.push_back({id(c), 0, 0});
  return true;
}

void Bpe::merge(std::vector<Symbol>& symbols) const {
  const auto count = static_cast<std::uint32_t>(symbols.size());
  std::vector<Candidate> heap;
  heap.reserve(count);
  const auto candidate = [&](std::uint32_t at, std::uint32_t behind) {
    const Symbol &left = symbols[at], &right = symbols[behind];
    const MergeTable::Entry* entry = merges_.find(left.id, right.id);
    if (entry == nullptr) return false;
    const std::uint64_t order = static_cast<std::uint64_t>(entry->rank) << 32 | at;
    heap.push_back({order, left.id, right.id, entry->id});
    return true;
  };
  for (std::uint32_t i = 0; i + 1 < count; ++i) candidate(i, i + 1);
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate best = heap.back();
    heap.pop_back();
    const auto at = static_cast<std::uint32_t>(best.order);
    Symbol& left = symbols[at];
    if (left.id != best.left || left.next >= count) continue;  // outdated
    Symbol& right = symbols[left.next];
    if (right.id != best.right) continue;
    left.id = best.id;
    right.id = -1;
    left.next = right.next;
    if (left.next < count) symbols[left.next].previous = at;
    if (left.next < count && candidate(at, left.next)) std::push_heap(heap.begin(), heap.end());
    if (left.previous < count && candidate(left.previous, at)) {
      std::push_heap(heap.begin(), heap.end());
    }
  }
}

}  // namespace lora
