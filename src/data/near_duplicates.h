// SPDX-License-Identifier: Apache-2.0
// Texts that say the same: equal but for spelling details, or nearly equal. `lora prepare text`
// drops them, preflight looks with it for validation texts among the training texts. Pictures have
// difference_hash (image_checks.h).
//
// Nearly equal: the sets of all runs of three words overlap by at least `threshold` (Jaccard:
// common / all). Candidates come from MinHash signatures in bands (Broder 1997), then the sets
// themselves are compared, so a reported similarity is exact. Two texts that differ in a number
// ("invoice 4711", "12 + 8") are never nearly equal: generated records differ in just that.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lora {

// NFKC, lower case, each run of blanks one blank, none at the ends. Invalid UTF-8 becomes U+FFFD.
std::string normalised_text(std::string_view text);

// Jaccard similarity of two texts; 1 where they are equal but for spelling, 0 where a number
// differs.
double text_similarity(std::string_view a, std::string_view b);

struct TextMatch {
  std::size_t index = 0;  // of the text that was added before: 0, 1, ...
  double similarity = 1;  // Jaccard; 1 and `equal` where the normalised texts are equal
  bool equal = false;
};

struct TextSketch {
  std::vector<std::uint32_t> shingles;  // hashes of the runs of words, ascending, once each
  std::uint64_t numbers = 0;            // hash of the numbers in the text, in order
};

// A growing set of texts that is asked whether it has one like this already. About 4 bytes a word
// and 1 KiB a text.
class NearDuplicates {
 public:
  // 0 < threshold <= 1; above 0.999 only equal texts match.
  explicit NearDuplicates(double threshold = 0.8);

  // The equal text, else the most similar one at or above the threshold (of several: the first).
  // `accept` may refuse a nearly equal one by its index.
  std::optional<TextMatch> find(std::string_view text,
                                const std::function<bool(std::size_t)>& accept = {}) const;
  // Adds the text, whether or not there is one like it; returns its index.
  std::size_t add(std::string_view text);

 private:
  static constexpr std::size_t kHashes = 128;
  using Signature = std::array<std::uint32_t, kHashes>;

  static Signature signature_of(const TextSketch& sketch);
  std::uint64_t band_key(const Signature& signature, std::size_t band) const;

  double threshold_;
  std::size_t rows_ = 1;  // of a band
  std::vector<TextSketch> texts_;
  std::unordered_map<std::string, std::size_t> equal_;                     // SHA-256 -> first index
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> buckets_;  // band -> indices
};

}  // namespace lora
