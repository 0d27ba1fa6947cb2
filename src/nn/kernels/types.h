// SPDX-License-Identifier: Apache-2.0
// What the operators of nn/ops.h and nn/layer.h and their kernels take. The kernels see nothing
// else of nn.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "nn/weights/frozen_weight.h"

namespace lora {

enum class Activation { silu, gelu, gelu_tanh, relu };  // gelu: exact (erf)

// GroupNorm; weight, bias [C].
struct GroupNormWeights {
  at::Tensor weight, bias;
  std::int64_t groups = 32;
  double eps = 1e-5;
};

// Which keys a query may see.
struct AttentionMask {
  // Document of each key [B, S] int64, 0 = padding; undefined: one document a row. The queries
  // are the last T keys. Attention is block-diagonal over documents (padding sees padding, so that
  // no row is empty).
  at::Tensor documents;
  bool causal = true;
  std::int64_t window = 0;  // a token sees itself and window - 1 before it; 0 = no limit
  // First `past` keys come from the cache: query i stands at position past + i.
  std::int64_t past = 0;
};

// One adapter in a term: + scale * B(A(dropout(x))), or DoRA's correction with `magnitude`.
struct LowRank {
  at::Tensor a, b;       // float32; linear [r, in], [out, r]; conv [r, in, kh, kw], [out, r, 1, 1]
  at::Tensor magnitude;  // DoRA [out]; undefined for plain LoRA
  double scale = 1;
  double dropout = 0;  // that of this moment: 0 outside training
  bool trains = true;  // false: a and b get no gradient
};

// A frozen layer and the adapters that take part in it, as it stands at one forward pass.
struct LayerTerm {
  FrozenWeight weight;
  at::Tensor bias;  // [out] or undefined
  std::vector<LowRank> adapters;
  bool is_conv = false;
  std::int64_t stride = 1, padding = 0;  // convolutions
};

}  // namespace lora
