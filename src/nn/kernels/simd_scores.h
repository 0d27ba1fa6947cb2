// SPDX-License-Identifier: Apache-2.0
// Softmax of attention, block of keys by block of keys (arXiv 2112.05682, 2205.14135), and its
// gradient. Results are operands of simd_tile.h. No libtorch here.
#pragma once

#include <limits>

#include "nn/kernels/simd_tile.h"

namespace lora::simd {

// Products of one query with a block of `width` keys, of which it sees [begin, end).
struct ScoreRow {
  std::size_t width, begin, end;
  float scale;
  float softcap;  // 0: none
};

// What is known of a row after some blocks: the largest score, sum of exp(score - most).
struct SoftmaxState {
  float most = -std::numeric_limits<float>::infinity();
  float sum = 0;
};

// weights [width] = exp(score - most) in the elements of `unit`, 0 where nothing is seen; scores
// are scale * raw after the cap. Returns the factor that earlier blocks' results must be multiplied
// by. `raw` is overwritten.
float softmax_block(Unit unit, const ScoreRow& row, float* raw, SoftmaxState& state, void* weights);

struct ScoreGradRow {
  ScoreRow row;
  float log_sum;  // most + log(sum) over all blocks
  float delta;    // sum of gradient times output
  float* raw;     // overwritten where hidden
  const float* d_weights;
};
// For two rows of queries: weights and gradients of the raw scores with the queries as depth
// (f32: rows at 0 and `step`; pairs: one row of units). With pairs, slope_rows also gets the
// gradients row by row, `step` elements apart.
struct ScoreGradOut {
  std::uint32_t *weights, *slopes;
  std::uint16_t* slope_rows;
  std::size_t step;
};
void softmax_grad_block(Unit unit, const ScoreGradRow (&rows)[2], const ScoreGradOut& out);

}  // namespace lora::simd
