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

// RMSNorm of one row (arXiv 1910.07467): y = s * rstd * weight, s = x + add; or, with a bias,
// LayerNorm (arXiv 1607.06450): y = (s - mean) * rstd * weight + bias.
// add and sum may both be nullptr; otherwise sum receives s, rounded, and the norm reads it.
struct NormRow {
  Element element;
  std::size_t width;
  const float* weight;  // with the family's offset already added
  const float* bias;    // nullptr: RMSNorm
  float epsilon;
};
// mean (0 for RMSNorm) and rstd = 1 / sqrt(mean((s - mean)^2) + epsilon).
struct NormStats {
  float mean, rstd;
};
NormStats norm_row(const NormRow& norm, const void* x, const void* add, void* sum, void* y);
// dx = gradient of x for dy, plus `more` (gradient that reached x another way; may be nullptr).
void norm_grad_row(const NormRow& norm, const void* dy, const void* x, const NormStats& stats,
                   const void* more, void* dx);

// Rotary embedding of one head (half-split layout): sine_sign -1 turns back (the gradient).
// cos, sin [width].
void rotate_row(Element element, std::size_t width, const void* x, const float* cos,
                const float* sin, float sine_sign, void* y);

// h = gate_function(gate) * up over n elements. gelu is that with the error function.
void gate_range(Element element, Gate gate, std::size_t n, const void* g, const void* u, void* h);
// dg, du from dh; also h again where `h` is not nullptr.
void gate_grad_range(Element element, Gate gate, std::size_t n, const void* dh, const void* g,
                     const void* u, void* dg, void* du, void* h);

// Cross-entropy of one row of logits; the gradient (softmax - one hot, times the slope of the cap)
// is written to d_logits unless nullptr. d_logits may be the same memory as logits, which are
// overwritten.
float cross_entropy_row(Element element, std::size_t width, float* logits, std::size_t label,
                        float softcap, void* d_logits);

// sum(a * b), both in `element`.
float dot_row(Element element, std::size_t width, const void* a, const void* b);
// to (element) = from (float32) * factor
void narrow_range(Element element, std::size_t n, const float* from, float factor, void* to);

// Rows of `channels` numbers (a picture in channels_last memory), each channel treated alike.
struct ChannelRows {
  Element element;
  std::size_t rows, channels;
};
// Per channel: sum of x and of x^2.
void channel_sums(const ChannelRows& shape, const void* x, float* sums, float* squares);
// y = scale * x + offset per channel, then SiLU where `silu`.
void channel_apply(const ChannelRows& shape, bool silu, const void* x, const float* scale,
                   const float* offset, void* y);
// For dz = gradient before the SiLU: per channel sum of dz and of dz * x.
void channel_grad_sums(const ChannelRows& shape, bool silu, const void* dy, const void* x,
                       const float* scale, const float* offset, float* sums, float* products);
// dx = scale * dz + by_x * x + constant per channel.
void channel_grad(const ChannelRows& shape, bool silu, const void* dy, const void* x,
                  const float* scale, const float* offset, const float* by_x, const float* constant,
                  void* dx);

}  // namespace lora::simd
