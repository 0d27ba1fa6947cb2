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

template <class D, class T>
HWY_INLINE void spread_tile(D d, const std::array<const T*, 16>& from, std::size_t channel,
                            std::size_t step, T* to) {
  hn::Vec<D> m[4][4];
  for (std::size_t i = 0; i < 16; ++i) m[i / 4][i % 4] = load(d, from[i] + channel);
  for (auto& row : m) spread(row[0], row[1], row[2], row[3]);
  for (std::size_t j = 0; j < 4; ++j) spread(m[0][j], m[1][j], m[2][j], m[3][j]);
  for (std::size_t i = 0; i < 16; ++i) store(d, m[i / 4][i % 4], to + i * step + channel);
}

template <class T>
void tiles(const WinogradPicture& p, const T* x, std::size_t tile_row, T* to, std::size_t step) {
  static thread_local std::vector<T> zeros;
  if (zeros.size() < p.channels) zeros.assign(p.channels, T{});
  for (std::size_t column = 0; column < p.width; column += 2, to += p.channels) {
    std::array<const T*, 16> from;
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

template <class T>
void results(const WinogradPicture& p, const float* from, std::size_t step, const float* bias,
             std::size_t tile_row, T* y) {
  const bool two_rows = 2 * tile_row + 1 < p.height;
  T* top = y + 2 * tile_row * p.width * p.channels;
  T* bottom = top + p.width * p.channels;
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
        T* row = (i == 0 ? top : bottom) + column * p.channels + c;
        store(d, hn::Add(left, offset), row);
        if (two_columns) store(d, hn::Add(right, offset), row + p.channels);
      }
    });
  }
}

void tiles_any(const WinogradPicture& p, const void* x, std::size_t tile_row, void* to,
               std::size_t step) {
  if (p.element == Element::f32) {
    tiles(p, static_cast<const float*>(x), tile_row, static_cast<float*>(to), step);
  } else {
    tiles(p, static_cast<const Bf16*>(x), tile_row, static_cast<Bf16*>(to), step);
  }
}

void results_any(const WinogradPicture& p, const float* from, std::size_t step, const float* bias,
                 std::size_t tile_row, void* y) {
  if (p.element == Element::f32) {
    results(p, from, step, bias, tile_row, static_cast<float*>(y));
  } else {
    results(p, from, step, bias, tile_row, static_cast<Bf16*>(y));
  }
}

}  // namespace lora::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::simd {

HWY_EXPORT(tiles_any);
HWY_EXPORT(results_any);

void winograd_tiles(const WinogradPicture& picture, const void* x, std::size_t tile_row, void* to,
                    std::size_t step) {
  HWY_DYNAMIC_DISPATCH(tiles_any)(picture, x, tile_row, to, step);
}

void winograd_results(const WinogradPicture& picture, const float* from, std::size_t step,
                      const float* bias, std::size_t tile_row, void* y) {
  HWY_DYNAMIC_DISPATCH(results_any)(picture, from, step, bias, tile_row, y);
}

}  // namespace lora::simd
#endif
