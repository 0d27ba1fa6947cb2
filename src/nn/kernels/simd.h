// SPDX-License-Identifier: Apache-2.0
// Element-wise kernels over one row or one contiguous range, with Google Highway: compiled for
// every vector set, chosen at run time. float32 inside; rows in memory are float32 or bfloat16
// (rounded to nearest even). Pointers need no alignment. No libtorch here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lora::simd {

enum class Element { f32, bf16 };
enum class Gate { silu, gelu, gelu_tanh, relu };

// RMSNorm of one row (arXiv 1910.07467): y = s * rstd * weight, s = x + add.
// add and sum may both be nullptr; otherwise sum receives s, rounded, and the norm reads it.
struct NormRow {
  Element element;
  std::size_t width;
  const float* weight;  // with the family's offset already added
  float epsilon;
};
// Returns rstd = 1 / sqrt(mean(s^2) + epsilon).
float rms_norm_row(const NormRow& norm, const void* x, const void* add, void* sum, void* y);
// dx = gradient of x for dy, plus `more` (gradient that reached x another way; may be nullptr).
void rms_norm_grad_row(const NormRow& norm, const void* dy, const void* x, float rstd,
                       const void* more, void* dx);

// Rotary embedding of one head (half-split layout): sine_sign -1 turns back (the gradient).
// cos, sin [width].
void rotate_row(Element element, std::size_t width, const void* x, const float* cos,
                const float* sin, float sine_sign, void* y);

// h = gate_function(gate) * up over n elements. gelu is exact (erf): see has_gate.
void gate_range(Element element, Gate gate, std::size_t n, const void* g, const void* u, void* h);
// dg, du from dh; also h again where `h` is not nullptr.
void gate_grad_range(Element element, Gate gate, std::size_t n, const void* dh, const void* g,
                     const void* u, void* dg, void* du, void* h);
// False for gelu with erf, for which Highway has no function.
constexpr bool has_gate(Gate gate) { return gate != Gate::gelu; }

// One row of attention scores. The query sees keys [begin, end).
struct ScoreRow {
  Element element;    // of the weights written
  std::size_t width;  // keys in the row
  std::size_t begin, end;
  float scale;
  float softcap;  // 0: none
};
// Softmax of scale * raw (after the cap) into `weights` (element type, 0 outside [begin, end)).
// Returns log(sum(exp(score))). `raw` is overwritten.
float softmax_row(const ScoreRow& row, float* raw, void* weights);
// weights = softmax again from the logarithm; d_raw = weights * (d_weights - delta) * scale, and
// the slope of the cap. Both written in the element type.
void softmax_grad_row(const ScoreRow& row, const float* raw, const float* d_weights, float log_sum,
                      float delta, void* weights, void* d_raw);

// Cross-entropy of one row of logits; the gradient (softmax - one hot, times the slope of the cap)
// is written to d_logits unless nullptr. d_logits may be the same memory as logits, which are
// overwritten.
float cross_entropy_row(Element element, std::size_t width, float* logits, std::size_t label,
                        float softcap, void* d_logits);

// sum(a * b), both in `element`.
float dot_row(Element element, std::size_t width, const void* a, const void* b);
// to (element) = from (float32) * factor
void narrow_range(Element element, std::size_t n, const float* from, float factor, void* to);
// out = a + b
void add_range(Element element, std::size_t n, const void* a, const void* b, void* out);

}  // namespace lora::simd
