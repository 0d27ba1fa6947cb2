// SPDX-License-Identifier: Apache-2.0
// How attention is cut into blocks, and the packed operands of its products.
// B rows, T queries, S keys, H heads, K key heads (groups), d = head dimension.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "nn/kernels/simd_tile.h"
#include "nn/kernels/types.h"

namespace lora::kernels {

// Scores of a block (64 x 384 floats) stay in the L2 cache.
constexpr std::int64_t kQueryBlock = 64;
constexpr std::int64_t kMostKeys = 384;

struct AttentionShape {
  AttentionShape(const at::Tensor& q, const at::Tensor& k, double scale, double softcap);

  std::int64_t rows, queries, keys, heads, groups, width;  // B, T, S, H, K, d
  float scale, softcap;
  simd::Unit unit;
  std::int64_t unit_depth;   // elements of a unit
  std::int64_t depth, wide;  // d in units; d as columns of a tile
  std::int64_t key_block;    // keys of a block, a multiple of kTileColumns

  std::int64_t query_blocks() const { return (queries + kQueryBlock - 1) / kQueryBlock; }
  std::int64_t key_blocks() const { return (keys + key_block - 1) / key_block; }
  std::int64_t share() const { return heads / groups; }  // query heads of a key head
  std::int64_t queries_of(std::int64_t block) const {
    return std::min(kQueryBlock, queries - block * kQueryBlock);
  }
  std::int64_t keys_of(std::int64_t block) const {
    return std::min(key_block, keys - block * key_block);
  }
  std::int64_t units(std::int64_t elements) const {
    return (elements + unit_depth - 1) / unit_depth;
  }
};

struct KeyRange {
  std::int64_t begin, end;
};

// Keys that each query may see, [B, T, 2] int64: {begin, end}.
at::Tensor visible_ranges(const AttentionMask& mask, std::int64_t rows, std::int64_t queries,
                          std::int64_t keys);
// Keys that some query of the block sees.
KeyRange range_of_block(const AttentionShape& shape, const at::Tensor& ranges, std::int64_t b,
                        std::int64_t block);

// Rows [begin, begin + count) of one head of x [B, T, heads, d].
simd::Plane head_plane(const at::Tensor& x, std::int64_t b, std::int64_t head, std::int64_t begin,
                       std::int64_t count);

// One head of x in blocks of rows, packed in the forms that products need; a form that nobody asks
// for stays empty. `block` rows a block.
class PackedHead {
 public:
  struct Forms {
    bool left = false, right = false, turned = false;  // turned: right, transposed
  };
  PackedHead(const AttentionShape& shape, std::int64_t length, std::int64_t block, Forms forms);

  // Block `index` of x [B, T, heads, d]; or `rows`, which become block `index`.
  void pack(const AttentionShape& shape, const at::Tensor& x, std::int64_t b, std::int64_t head,
            std::int64_t index);
  void pack(const AttentionShape& shape, const simd::Plane& rows, std::int64_t index);

  // [rows][depth], [units of rows][wide], [depth][block].
  const std::uint32_t* left(std::int64_t index) const { return at(left_, index); }
  const std::uint32_t* right(std::int64_t index) const { return at(right_, index); }
  const std::uint32_t* right_transposed(std::int64_t index) const { return at(turned_, index); }

 private:
  static std::uint32_t* at(const at::Tensor& x, std::int64_t index) {
    return static_cast<std::uint32_t*>(x.data_ptr()) + index * x.size(1);
  }

  std::int64_t length_, block_;
  at::Tensor left_, right_, turned_;  // [blocks, units] int32
};

}  // namespace lora::kernels
