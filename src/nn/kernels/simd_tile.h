// SPDX-License-Identifier: Apache-2.0
// Products of tiles that fit the first cache levels, on operands packed by the caller: the inside
// of attention. A tile is made of 32-bit units: a float, or two bfloat16 that stand one after the
// other along the depth (the summed dimension). Pairs are multiplied by AVX512-BF16; processors
// without it get bfloat16 widened to floats. Sums are float32. No libtorch here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nn/kernels/simd.h"

namespace lora::simd {

enum class Unit { f32, bf16_pair };

// The unit for operands of this element type on this processor.
Unit unit_for(Element element);
// How many elements a unit holds.
constexpr std::size_t depth_of(Unit unit) { return unit == Unit::f32 ? 1 : 2; }
// Element type of the numbers inside a unit.
constexpr Element element_of(Unit unit) { return unit == Unit::f32 ? Element::f32 : Element::bf16; }

constexpr std::size_t kTileRows = 8;      // rows of a product come in multiples of this,
constexpr std::size_t kTileColumns = 16;  // columns in multiples of this

constexpr std::size_t round_up(std::size_t n, std::size_t step) {
  return (n + step - 1) / step * step;
}

// c [rows, columns] = a b, or += a b. Steps are in units (of c: floats). Columns of b and c are
// contiguous; a may be stepped either way, so that a transposed operand needs no copy.
struct TileProduct {
  std::size_t rows, columns, depth;  // depth in units
  const std::uint32_t* a;
  std::size_t a_row, a_depth;
  const std::uint32_t* b;
  std::size_t b_depth;
  float* c;
  std::size_t c_row;
  bool add;
};
void multiply_tiles(Unit unit, const TileProduct& product);

// A matrix [rows, columns] in memory; `step` elements from row to row.
struct Plane {
  Element element;
  const void* data;
  std::size_t rows, columns, step;
};
// Left operand: to[row * to_step + depth], the columns are the depth. `to` holds
// round_up(rows, kTileRows) rows; what has no element is zero.
void pack_left(Unit unit, const Plane& from, std::uint32_t* to, std::size_t to_step);
// Right operand whose depth is the columns (x in y x^T): to[depth * to_step + row]; to_step >=
// round_up(rows, kTileColumns).
void pack_right_transposed(Unit unit, const Plane& from, std::uint32_t* to, std::size_t to_step);
// Right operand whose depth is the rows: to[depth * to_step + column].
void pack_right(Unit unit, const Plane& from, std::uint32_t* to, std::size_t to_step);

// AVX512-BF16; simd_tile_bf16.cc.
bool has_bf16_pairs();
void multiply_bf16_pairs(const TileProduct& product);

}  // namespace lora::simd
