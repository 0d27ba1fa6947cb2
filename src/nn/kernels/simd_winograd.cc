// SPDX-License-Identifier: Apache-2.0
// Transforms of simd_winograd.h.
#include "nn/kernels/simd_winograd.h"

#include <array>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/kernels/simd_winograd.cc"
#include <hwy/foreach_target.h>

#include "nn/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::simd::HWY_NAMESPACE {

// B^T: the four inputs of a row or column.
template <class V>
HWY_INLINE void spread(V& a, V& b, V& c, V& d) {
  const V first = hn::Sub(a, c), last = hn::Sub(b, d);
  const V sum = hn::Add(b, c), difference = hn::Sub(c, b);
  a = first;
  b = sum;
  c = difference;
  d = last;
}

// A^T: four products to two results.
template <class V>
HWY_INLINE void gather(V a, V b, V c, V d, V& first, V& second) {
  first = hn::Add(hn::Add(a, b), c);
  second = hn::Sub(hn::Sub(b, c), d);
}

template <class D>
HWY_INLINE void spread_tile(D d, const std::array<const Bf16*, 16>& from, std::size_t channel,
                            std::size_t step, Bf16* to) {
  hn::Vec<D> m[4][4];
  for (std::size_t i = 0; i < 16; ++i) m[i / 4][i % 4] = load(d, from[i] + channel);
  for (auto& row : m) spread(row[0], row[1], row[2], row[3]);
  for (std::size_t j = 0; j < 4; ++j) spread(m[0][j], m[1][j], m[2][j], m[3][j]);
  for (std::size_t i = 0; i < 16; ++i) store(d, m[i / 4][i % 4], to + i * step + channel);
}

void tiles(const WinogradPicture& p, const Bf16* x, std::size_t tile_row, Bf16* to,
           std::size_t step) {
  static thread_local std::vector<Bf16> zeros;
  if (zeros.size() < p.channels) zeros.assign(p.channels, 0);
  for (std::size_t column = 0; column < p.width; column += 2, to += p.channels) {
    std::array<const Bf16*, 16> from;
    for (std::size_t i = 0; i < 16; ++i) {
      // Unsigned: what is left of or above the picture wraps round to beyond it.
      const std::size_t row = 2 * tile_row + i / 4 - 1, place = column + i % 4 - 1;
      const bool inside = row < p.height && place < p.width;
      from[i] = inside ? x + (row * p.width + place) * p.channels : zeros.data();
    }
    for_each(p.channels,
             [&](auto d, std::size_t c) HWY_ATTR { spread_tile(d, from, c, step, to); });
  }
}

void results(const WinogradPicture& p, const float* from, std::size_t step, const float* bias,
             std::size_t tile_row, Bf16* y) {
  const bool two_rows = 2 * tile_row + 1 < p.height;
  Bf16* top = y + 2 * tile_row * p.width * p.channels;
  Bf16* bottom = top + p.width * p.channels;
  for (std::size_t column = 0; column < p.width; column += 2, from += p.channels) {
    const bool two_columns = column + 1 < p.width;
    for_each(p.channels, [&](auto d, std::size_t c) HWY_ATTR {
      hn::Vec<decltype(d)> half[2][4];
      for (std::size_t j = 0; j < 4; ++j) {
        const auto product = [&](std::size_t i)
                                 HWY_ATTR { return load(d, from + (i * 4 + j) * step + c); };
        gather(product(0), product(1), product(2), product(3), half[0][j], half[1][j]);
      }
      const auto offset = bias == nullptr ? hn::Zero(d) : load(d, bias + c);
      for (std::size_t i = 0; i < 2; ++i) {
        if (i == 1 && !two_rows) break;
        auto left = offset, right = offset;
        gather(half[i][0], half[i][1], half[i][2], half[i][3], left, right);
        Bf16* row = (i == 0 ? top : bottom) + column * p.channels + c;
        store(d, hn::Add(left, offset), row);
        if (two_columns) store(d, hn::Add(right, offset), row + p.channels);
      }
    });
  }
}

}  // namespace lora::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::simd {

HWY_EXPORT(tiles);
HWY_EXPORT(results);

void winograd_tiles(const WinogradPicture& picture, const std::uint16_t* x, std::size_t tile_row,
                    std::uint16_t* to, std::size_t step) {
  HWY_DYNAMIC_DISPATCH(tiles)(picture, x, tile_row, to, step);
}

void winograd_results(const WinogradPicture& picture, const float* from, std::size_t step,
                      const float* bias, std::size_t tile_row, std::uint16_t* y) {
  HWY_DYNAMIC_DISPATCH(results)(picture, from, step, bias, tile_row, y);
}

}  // namespace lora::simd
#endif
