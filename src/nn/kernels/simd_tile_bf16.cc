// SPDX-License-Identifier: Apache-2.0
// Tile products with AVX512-BF16, for which this version of Highway has no target.
#include <utility>

#include "nn/kernels/simd_tile.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace lora::simd {

#if defined(__x86_64__)

namespace {

// The operating system keeps the 512-bit registers, and the processor has the instructions.
bool detect() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__builtin_cpu_supports("avx512f") == 0 || __builtin_cpu_supports("avx512bw") == 0 ||
      __builtin_cpu_supports("avx512vl") == 0 || __builtin_cpu_supports("avx512dq") == 0) {
    return false;
  }
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && ((eax >> 5U) & 1U) != 0;
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"), gnu::always_inline]] inline __m512bh
vector_at(const std::uint32_t* from) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(from));
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"), gnu::always_inline]] inline __m512bh
repeated(const std::uint32_t* from) {
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(*from)));
}

// kTileRows rows and V vectors of columns; I counts their sums, which stay in registers.
template <std::size_t V, std::size_t... I>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] void tile(
    const TileProduct& p, const std::uint32_t* a, const std::uint32_t* b, float* c,
    std::index_sequence<I...>) {
  __m512 sums[sizeof...(I)];
  if (p.add) {
    ((sums[I] = _mm512_loadu_ps(c + I / V * p.c_row + I % V * 16)), ...);
  } else {
    ((sums[I] = _mm512_setzero_ps()), ...);
  }
  for (std::size_t k = 0; k < p.depth; ++k, a += p.a_depth, b += p.b_depth) {
    const __m512bh right[3] = {vector_at(b), vector_at(b + (V > 1 ? 16 : 0)),
                               vector_at(b + (V > 2 ? 32 : 0))};
    ((sums[I] = _mm512_dpbf16_ps(sums[I], repeated(a + I / V * p.a_row), right[I % V])), ...);
  }
  (_mm512_storeu_ps(c + I / V * p.c_row + I % V * 16, sums[I]), ...);
}

template <std::size_t V>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] void column(const TileProduct& p,
                                                                             std::size_t first) {
  for (std::size_t row = 0; row < p.rows; row += kTileRows) {
    tile<V>(p, p.a + row * p.a_row, p.b + first, p.c + row * p.c_row + first,
            std::make_index_sequence<kTileRows * V>());
  }
}

}  // namespace

bool has_bf16_pairs() {
  static const bool found = detect();
  return found;
}

void multiply_bf16_pairs(const TileProduct& p) {
  for (std::size_t first = 0; first < p.columns;) {
    const std::size_t vectors = (p.columns - first) / kTileColumns;
    // Four are two and two: a single vector would wait for its own sums.
    const std::size_t taken = vectors == 4 ? 2 : vectors < 3 ? vectors : 3;
    if (taken == 1) column<1>(p, first);
    if (taken == 2) column<2>(p, first);
    if (taken == 3) column<3>(p, first);
    first += taken * kTileColumns;
  }
}

#else

bool has_bf16_pairs() { return false; }
void multiply_bf16_pairs(const TileProduct&) {}

#endif

}  // namespace lora::simd
