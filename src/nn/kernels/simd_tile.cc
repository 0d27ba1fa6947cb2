// SPDX-License-Identifier: Apache-2.0
// Tile products of floats, and the packing of operands; see simd_tile.h.
#include "nn/kernels/simd_tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/kernels/simd_tile.cc"
#include <hwy/foreach_target.h>

#include "nn/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::simd::HWY_NAMESPACE {

// Four rows and V vectors of columns: twelve sums, which every vector set keeps in registers.
template <int V>
void quad(const TileProduct& p, const std::uint32_t* left, const std::uint32_t* right, float* c) {
  const Wide d;
  const std::size_t lanes = hn::Lanes(d);
  const auto* a = reinterpret_cast<const float*>(left);
  const auto* b = reinterpret_cast<const float*>(right);
  const auto begin = [&](std::size_t row, std::size_t vector) HWY_ATTR {
    return p.add && vector < V ? hn::LoadU(d, c + row * p.c_row + vector * lanes) : hn::Zero(d);
  };
  auto s00 = begin(0, 0), s01 = begin(0, 1), s02 = begin(0, 2);
  auto s10 = begin(1, 0), s11 = begin(1, 1), s12 = begin(1, 2);
  auto s20 = begin(2, 0), s21 = begin(2, 1), s22 = begin(2, 2);
  auto s30 = begin(3, 0), s31 = begin(3, 1), s32 = begin(3, 2);
  for (std::size_t k = 0; k < p.depth; ++k, a += p.a_depth, b += p.b_depth) {
    const auto a0 = hn::Set(d, a[0]), a1 = hn::Set(d, a[p.a_row]);
    const auto a2 = hn::Set(d, a[2 * p.a_row]), a3 = hn::Set(d, a[3 * p.a_row]);
    const auto b0 = hn::LoadU(d, b);
    s00 = hn::MulAdd(a0, b0, s00), s10 = hn::MulAdd(a1, b0, s10);
    s20 = hn::MulAdd(a2, b0, s20), s30 = hn::MulAdd(a3, b0, s30);
    if constexpr (V > 1) {
      const auto b1 = hn::LoadU(d, b + lanes);
      s01 = hn::MulAdd(a0, b1, s01), s11 = hn::MulAdd(a1, b1, s11);
      s21 = hn::MulAdd(a2, b1, s21), s31 = hn::MulAdd(a3, b1, s31);
    }
    if constexpr (V > 2) {
      const auto b2 = hn::LoadU(d, b + 2 * lanes);
      s02 = hn::MulAdd(a0, b2, s02), s12 = hn::MulAdd(a1, b2, s12);
      s22 = hn::MulAdd(a2, b2, s22), s32 = hn::MulAdd(a3, b2, s32);
    }
  }
  const auto end = [&](std::size_t row, auto first, auto second, auto third) HWY_ATTR {
    float* to = c + row * p.c_row;
    hn::StoreU(first, d, to);
    if constexpr (V > 1) hn::StoreU(second, d, to + lanes);
    if constexpr (V > 2) hn::StoreU(third, d, to + 2 * lanes);
  };
  end(0, s00, s01, s02);
  end(1, s10, s11, s12);
  end(2, s20, s21, s22);
  end(3, s30, s31, s32);
}

template <int V>
void column(const TileProduct& p, std::size_t first) {
  for (std::size_t row = 0; row < p.rows; row += 4) {
    quad<V>(p, p.a + row * p.a_row, p.b + first, p.c + row * p.c_row + first);
  }
}

void multiply_floats(const TileProduct& p) {
  const std::size_t lanes = hn::Lanes(Wide());
  for (std::size_t first = 0; first < p.columns;) {
    const std::size_t vectors = (p.columns - first) / lanes;
    if (vectors == 1) {
      column<1>(p, first);
      first += lanes;
    } else if (vectors == 2 || vectors == 4) {
      column<2>(p, first);
      first += 2 * lanes;
    } else {
      column<3>(p, first);
      first += 3 * lanes;
    }
  }
}

}  // namespace lora::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <bit>

namespace lora::simd {

HWY_EXPORT(multiply_floats);

namespace {

std::uint32_t wide_bits(float x) { return std::bit_cast<std::uint32_t>(x); }
std::uint32_t wide_bits(std::uint16_t x) { return static_cast<std::uint32_t>(x) << 16U; }

// The unit that holds `first` and, for pairs, `second`.
template <Unit unit, class T>
std::uint32_t unit_of(T first, T second) {
  if constexpr (unit == Unit::f32) return wide_bits(first);
  return (wide_bits(second) & 0xFFFF0000U) | (wide_bits(first) >> 16U);
}

template <Unit unit, class T>
void left(const Plane& from, std::uint32_t* to, std::size_t step) {
  constexpr std::size_t kDepth = depth_of(unit);
  const std::size_t whole = from.columns / kDepth, all = (from.columns + kDepth - 1) / kDepth;
  for (std::size_t row = 0; row < from.rows; ++row, to += step) {
    const T* x = static_cast<const T*>(from.data) + row * from.step;
    for (std::size_t k = 0; k < whole; ++k) {
      to[k] = unit_of<unit>(x[k * kDepth], x[k * kDepth + kDepth - 1]);
    }
    for (std::size_t k = whole; k < all; ++k) to[k] = unit_of<unit>(x[k * kDepth], T{});
  }
  const std::size_t extra = round_up(from.rows, kTileRows) - from.rows;
  for (std::size_t row = 0; row < extra; ++row) std::fill_n(to + row * step, all, 0U);
}

template <Unit unit, class T>
void right_transposed(const Plane& from, std::uint32_t* to, std::size_t step) {
  constexpr std::size_t kDepth = depth_of(unit);
  const std::size_t all = (from.columns + kDepth - 1) / kDepth;
  const std::size_t width = round_up(from.rows, kTileColumns);
  for (std::size_t k = 0; k < all; ++k, to += step) {
    const T* x = static_cast<const T*>(from.data) + k * kDepth;
    const bool whole = k * kDepth + kDepth <= from.columns;
    for (std::size_t row = 0; row < from.rows; ++row, x += from.step) {
      to[row] = unit_of<unit>(x[0], whole ? x[kDepth - 1] : T{});
    }
    std::fill(to + from.rows, to + width, 0U);
  }
}

template <Unit unit, class T>
void right(const Plane& from, std::uint32_t* to, std::size_t step) {
  constexpr std::size_t kDepth = depth_of(unit);
  const std::size_t width = round_up(from.columns, kTileColumns);
  for (std::size_t row = 0; row < from.rows; row += kDepth, to += step) {
    const T* x = static_cast<const T*>(from.data) + row * from.step;
    const bool whole = row + kDepth <= from.rows;
    const T* next = whole ? x + (kDepth - 1) * from.step : x;
    for (std::size_t i = 0; i < from.columns; ++i) {
      to[i] = unit_of<unit>(x[i], whole ? next[i] : T{});
    }
    std::fill(to + from.columns, to + width, 0U);
  }
}

// Calls `run` for the type of the elements and the unit; floats are never paired.
template <class Run>
void with_types(Unit unit, Element element, const Run& run) {
  using F32 = std::integral_constant<Unit, Unit::f32>;
  using Pair = std::integral_constant<Unit, Unit::bf16_pair>;
  if (element == Element::f32) return run(F32(), float{});
  if (unit == Unit::f32) return run(F32(), std::uint16_t{});
  run(Pair(), std::uint16_t{});
}

}  // namespace

Unit unit_for(Element element) {
  return element == Element::bf16 && has_bf16_pairs() ? Unit::bf16_pair : Unit::f32;
}

void multiply_tiles(Unit unit, const TileProduct& product) {
  if (unit == Unit::bf16_pair) return multiply_bf16_pairs(product);
  HWY_DYNAMIC_DISPATCH(multiply_floats)(product);
}

void pack_left(Unit unit, const Plane& from, std::uint32_t* to, std::size_t to_step) {
  with_types(unit, from.element,
             [&](auto u, auto zero) { left<u(), decltype(zero)>(from, to, to_step); });
}

void pack_right_transposed(Unit unit, const Plane& from, std::uint32_t* to, std::size_t to_step) {
  with_types(unit, from.element,
             [&](auto u, auto zero) { right_transposed<u(), decltype(zero)>(from, to, to_step); });
}

void pack_right(Unit unit, const Plane& from, std::uint32_t* to, std::size_t to_step) {
  with_types(unit, from.element,
             [&](auto u, auto zero) { right<u(), decltype(zero)>(from, to, to_step); });
}

}  // namespace lora::simd
#endif
