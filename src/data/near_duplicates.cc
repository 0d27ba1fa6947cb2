// SPDX-License-Identifier: Apache-2.0
#include "data/near_duplicates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/utf8.h"
#include "data/shuffle.h"
#include "tokenizers/unicode.h"

namespace lora {
namespace {

constexpr std::size_t kWords = 3;  // of a run
constexpr double kMissed = 1e-4;   // accepted chance that bands overlook a pair at the threshold

// Finaliser of MurmurHash3 (Appleby, public domain): spreads every bit.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdU;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53U;
  return x ^ (x >> 33);
}

// FNV-1a, then spread.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return mixed(hash);
}

// Scripts that write words without blanks between them: each character counts as a word.
bool stands_alone(std::uint32_t code) {
  const auto in = [code](std::uint32_t first, std::uint32_t last) {
    return code >= first && code <= last;
  };
  return in(0x0E00, 0x0EFF) || in(0x1000, 0x109F) || in(0x1780, 0x17FF) || in(0x2E80, 0x9FFF) ||
         in(0xF900, 0xFAFF) || in(0x20000, 0x3FFFF);
}

// Letters and digits that hang together, or one other character.
std::vector<std::string_view> word_runs(std::string_view text) {
  std::vector<std::string_view> words;
  bool open = false;  // the last word may grow
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const std::uint32_t code = next_code_point(text, at);
    if (code == ' ') {
      open = false;
      continue;
    }
    const bool letter = unicode::is_word(code) && !stands_alone(code);
    if (letter && open) {
      words.back() = {words.back().data(), words.back().size() + (at - begin)};
    } else {
      words.push_back(text.substr(begin, at - begin));
    }
    open = letter;
  }
  return words;
}

double jaccard(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  std::size_t common = 0, i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    common += a[i] == b[j];
    const bool first = a[i] <= b[j];
    const bool second = b[j] <= a[i];
    i += first;
    j += second;
  }
  return static_cast<double>(common) / static_cast<double>(a.size() + b.size() - common);
}

// Multipliers and additions of the hash family; fixed, so that results never change.
struct Family {
  std::array<std::uint64_t, 128> multiplier{}, addend{};
  Family() {
    Random random(0, "minhash", 0);
    for (std::uint64_t& m : multiplier) m = random.next() | 1;
    for (std::uint64_t& a : addend) a = random.next();
  }
};

// The longest bands (fewest candidates) that overlook hardly any pair at the threshold: with r
// rows, two texts of similarity s share a given band with probability s^r.
std::size_t rows_for(double threshold, std::size_t hashes) {
  for (const std::size_t rows : {8U, 4U, 2U}) {
    const double shared = std::pow(threshold, static_cast<double>(rows));
    const std::size_t bands = hashes / rows;
    if (std::pow(1 - shared, static_cast<double>(bands)) < kMissed) return rows;
  }
  return 1;
}

TextSketch sketch_of(std::string_view normalised) {
  TextSketch sketch;
  std::vector<std::uint64_t> hashes;
  for (const std::string_view word : word_runs(normalised)) {
    hashes.push_back(hash_of(word));
    const bool number =
        std::any_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number) sketch.numbers = mixed(sketch.numbers * 31 + hashes.back());
  }
  const std::size_t last = hashes.size() < kWords ? 1 : hashes.size() - kWords + 1;
  for (std::size_t i = 0; i < last; ++i) {
    std::uint64_t hash = 0;
    for (std::size_t j = i; j < std::min(i + kWords, hashes.size()); ++j) {
      hash = mixed(hash * 31 + hashes[j]);
    }
    sketch.shingles.push_back(static_cast<std::uint32_t>(hash >> 32));
  }
  std::sort(sketch.shingles.begin(), sketch.shingles.end());
  sketch.shingles.erase(std::unique(sketch.shingles.begin(), sketch.shingles.end()),
                        sketch.shingles.end());
  return sketch;
}

}  // namespace

std::string normalised_text(std::string_view text) {
  const std::string folded =
      unicode::lower(unicode::normalized(unicode::lossy(text), unicode::Form::nfkc));
  std::string out;
  for (std::size_t at = 0; at < folded.size();) {
    const std::size_t begin = at;
    const std::uint32_t code = next_code_point(folded, at);
    if (!unicode::is_white(code)) {
      out.append(folded, begin, at - begin);
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

double text_similarity(std::string_view a, std::string_view b) {
  const std::string first = normalised_text(a), second = normalised_text(b);
  if (first == second) return 1;
  const TextSketch x = sketch_of(first), y = sketch_of(second);
  return x.numbers == y.numbers ? jaccard(x.shingles, y.shingles) : 0;
}

NearDuplicates::NearDuplicates(double threshold) : threshold_(threshold) {
  if (!(threshold > 0 && threshold <= 1)) {
    fail_usage("similarity: ", threshold, " is out of range (expected above 0, up to 1)");
  }
  rows_ = rows_for(threshold, kHashes);
}

NearDuplicates::Signature NearDuplicates::signature_of(const TextSketch& sketch) {
  static const Family family;
  Signature signature;
  signature.fill(std::numeric_limits<std::uint32_t>::max());
  for (const std::uint32_t shingle : sketch.shingles) {
    for (std::size_t i = 0; i < kHashes; ++i) {
      const std::uint64_t hash = family.multiplier[i] * shingle + family.addend[i];
      signature[i] = std::min(signature[i], static_cast<std::uint32_t>(hash >> 32));
    }
  }
  return signature;
}

std::uint64_t NearDuplicates::band_key(const Signature& signature, std::size_t band) const {
  std::uint64_t key = band;
  for (std::size_t i = 0; i < rows_; ++i) key = mixed(key * 31 + signature[band * rows_ + i]);
  return key;
}

std::optional<TextMatch> NearDuplicates::find(
    std::string_view text, const std::function<bool(std::size_t)>& accept) const {
  const std::string normalised = normalised_text(text);
  const auto same = equal_.find(sha256(normalised));
  if (same != equal_.end()) return TextMatch{same->second, 1, true};
  if (threshold_ > 0.999) return std::nullopt;
  const TextSketch sketch = sketch_of(normalised);
  const Signature signature = signature_of(sketch);
  std::vector<std::uint32_t> candidates;
  for (std::size_t band = 0; band < kHashes / rows_; ++band) {
    const auto bucket = buckets_.find(band_key(signature, band));
    if (bucket == buckets_.end()) continue;
    candidates.insert(candidates.end(), bucket->second.begin(), bucket->second.end());
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  std::optional<TextMatch> best;
  for (const std::uint32_t index : candidates) {
    const TextSketch& other = texts_[index];
    if (other.numbers != sketch.numbers) continue;
    const double similarity = jaccard(sketch.shingles, other.shingles);
    if (similarity < threshold_ || (best && similarity <= best->similarity)) continue;
    if (accept && !accept(index)) continue;
    best = TextMatch{index, similarity, false};
  }
  return best;
}

std::size_t NearDuplicates::add(std::string_view text) {
  const std::string normalised = normalised_text(text);
  const std::size_t index = texts_.size();
  equal_.try_emplace(sha256(normalised), index);
  texts_.push_back(sketch_of(normalised));
  if (threshold_ > 0.999) return index;
  const Signature signature = signature_of(texts_.back());
  for (std::size_t band = 0; band < kHashes / rows_; ++band) {
    buckets_[band_key(signature, band)].push_back(static_cast<std::uint32_t>(index));
  }
  return index;
}

}  // namespace lora
