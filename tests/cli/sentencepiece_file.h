// SPDX-License-Identifier: Apache-2.0
// Writes tokenizer.model files of SentencePiece, as its sentencepiece_model.proto lays them out.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

namespace lora::test {

struct SentencePiece {
  enum class Kind { normal = 1, unknown = 2, control = 3, byte = 6 };
  std::string text;
  float score = 0;
  Kind kind = Kind::normal;
};

enum class SentencePieceModel { unigram = 1, byte_pairs = 2 };

namespace protobuf {

// The few parts of the format that follow: https://protobuf.dev/programming-guides/encoding
inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}
inline std::string number_field(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}
inline std::string text_field(int field, const std::string& text) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(text.size()) + text;
}
inline std::string float_field(int field, float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  std::string bytes = varint(static_cast<std::uint64_t>(field) << 3 | 5);
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift);
  return bytes;
}

}  // namespace protobuf

// A blank is put in front of every text and none is taken away. `byte_fallback`: there are pieces
// for all bytes.
inline std::string sentencepiece_file(const std::vector<SentencePiece>& pieces,
                                      SentencePieceModel model, bool byte_fallback) {
  using namespace protobuf;
  std::string bytes;
  for (const SentencePiece& piece : pieces) {
    bytes += text_field(1, text_field(1, piece.text) + float_field(2, piece.score) +
                               number_field(3, static_cast<std::uint64_t>(piece.kind)));
  }
  const std::string training =
      number_field(3, static_cast<std::uint64_t>(model)) + number_field(35, byte_fallback);
  const std::string normalizer =
      text_field(1, "identity") + number_field(3, 1) + number_field(4, 0) + number_field(5, 1);
  return bytes + text_field(2, training) + text_field(3, normalizer);
}

}  // namespace lora::test
