// SPDX-License-Identifier: Apache-2.0
// Softmax, its gradient and the cross-entropy of simd.h.
#include <cmath>
#include <limits>

#include "nn/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/kernels/simd_softmax.cc"
#include <hwy/foreach_target.h>

#include "nn/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::simd::HWY_NAMESPACE {

constexpr float kLeast = -std::numeric_limits<float>::infinity();

template <class D>
HWY_INLINE hn::Vec<D> capped(D d, hn::Vec<D> score, float cap) {
  if (cap <= 0) return score;
  return hn::Mul(hn::Set(d, cap), hn::Tanh(d, hn::Mul(score, hn::Set(d, 1.0F / cap))));
}

// Derivative of the cap, from the capped score.
template <class D>
HWY_INLINE hn::Vec<D> cap_slope(D d, hn::Vec<D> score, float cap) {
  const auto t = hn::Mul(score, hn::Set(d, 1.0F / cap));
  return hn::NegMulAdd(t, t, hn::Set(d, 1.0F));
}

template <class T>
void zero_outside(const ScoreRow& row, T* out) {
  for (std::size_t i = 0; i < row.begin; ++i) out[i] = T{};
  for (std::size_t i = row.end; i < row.width; ++i) out[i] = T{};
}

template <class T>
float softmax(const ScoreRow& row, float* raw, T* weights) {
  zero_outside(row, weights);
  const std::size_t n = row.end - row.begin;
  float* scores = raw + row.begin;
  T* to = weights + row.begin;
  const float most = max_of(n, kLeast, [&](auto d, std::size_t i) HWY_ATTR {
    const auto score = capped(d, hn::Mul(load(d, scores + i), hn::Set(d, row.scale)), row.softcap);
    store(d, score, scores + i);
    return score;
  });
  const float sum = sum_of(n, [&](auto d, std::size_t i) HWY_ATTR {
    const auto e = hn::Exp(d, hn::Sub(load(d, scores + i), hn::Set(d, most)));
    store(d, e, scores + i);
    return e;
  });
  for_each(n, [&](auto d, std::size_t i) HWY_ATTR {
    store(d, hn::Mul(load(d, scores + i), hn::Set(d, 1.0F / sum)), to + i);
  });
  return most + std::log(sum);
}

template <class T>
void softmax_grad(const ScoreRow& row, const float* raw, const float* d_weights, float log_sum,
                  float delta, T* weights, T* d_raw) {
  zero_outside(row, weights);
  zero_outside(row, d_raw);
  for_each(row.end - row.begin, [&](auto d, std::size_t k) HWY_ATTR {
    const std::size_t i = k + row.begin;
    const auto score = capped(d, hn::Mul(load(d, raw + i), hn::Set(d, row.scale)), row.softcap);
    const auto weight = hn::Exp(d, hn::Sub(score, hn::Set(d, log_sum)));
    auto slope = hn::Mul(weight, hn::Sub(load(d, d_weights + i), hn::Set(d, delta)));
    if (row.softcap > 0) slope = hn::Mul(slope, cap_slope(d, score, row.softcap));
    store(d, weight, weights + i);
    store(d, hn::Mul(slope, hn::Set(d, row.scale)), d_raw + i);
  });
}

template <class T>
void cross_entropy_grad(std::size_t n, const float* logits, float log_sum, float cap, T* to) {
  for_each(n, [&](auto d, std::size_t i) HWY_ATTR {
    const auto logit = load(d, logits + i);
    auto share = hn::Exp(d, hn::Sub(logit, hn::Set(d, log_sum)));
    if (cap > 0) share = hn::Mul(share, cap_slope(d, logit, cap));
    store(d, share, to + i);
  });
}

float cross_entropy(std::size_t n, float* logits, std::size_t label, float cap, float& log_sum) {
  const float most = max_of(n, kLeast, [&](auto d, std::size_t i) HWY_ATTR {
    if (cap <= 0) return load(d, logits + i);
    const auto logit = capped(d, load(d, logits + i), cap);
    store(d, logit, logits + i);
    return logit;
  });
  const float sum = sum_of(n, [&](auto d, std::size_t i) HWY_ATTR {
    return hn::Exp(d, hn::Sub(load(d, logits + i), hn::Set(d, most)));
  });
  log_sum = most + std::log(sum);
  return log_sum - logits[label];
}

float softmax_any(const ScoreRow& row, float* raw, void* weights) {
  if (row.element == Element::f32) return softmax(row, raw, static_cast<float*>(weights));
  return softmax(row, raw, static_cast<Bf16*>(weights));
}

void softmax_grad_any(const ScoreRow& row, const float* raw, const float* d_weights, float log_sum,
                      float delta, void* weights, void* d_raw) {
  if (row.element == Element::f32) {
    softmax_grad(row, raw, d_weights, log_sum, delta, static_cast<float*>(weights),
                 static_cast<float*>(d_raw));
  } else {
    softmax_grad(row, raw, d_weights, log_sum, delta, static_cast<Bf16*>(weights),
                 static_cast<Bf16*>(d_raw));
  }
}

// The label's own share minus one is computed apart: in bfloat16 the row must round it once.
float cross_entropy_any(Element element, std::size_t n, float* logits, std::size_t label, float cap,
                        void* d_logits) {
  float log_sum = 0;
  const float loss = cross_entropy(n, logits, label, cap, log_sum);
  if (d_logits == nullptr) return loss;
  float own = std::exp(-loss) - 1.0F;
  if (cap > 0) own *= 1.0F - (logits[label] / cap) * (logits[label] / cap);
  if (element == Element::f32) {
    auto* to = static_cast<float*>(d_logits);
    cross_entropy_grad(n, logits, log_sum, cap, to);
    store(Single(), hn::Set(Single(), own), to + label);
  } else {
    auto* to = static_cast<Bf16*>(d_logits);
    cross_entropy_grad(n, logits, log_sum, cap, to);
    store(Single(), hn::Set(Single(), own), to + label);
  }
  return loss;
}

}  // namespace lora::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::simd {

HWY_EXPORT(softmax_any);
HWY_EXPORT(softmax_grad_any);
HWY_EXPORT(cross_entropy_any);

float softmax_row(const ScoreRow& row, float* raw, void* weights) {
  return HWY_DYNAMIC_DISPATCH(softmax_any)(row, raw, weights);
}

void softmax_grad_row(const ScoreRow& row, const float* raw, const float* d_weights, float log_sum,
                      float delta, void* weights, void* d_raw) {
  HWY_DYNAMIC_DISPATCH(softmax_grad_any)(row, raw, d_weights, log_sum, delta, weights, d_raw);
}

float cross_entropy_row(Element element, std::size_t width, float* logits, std::size_t label,
                        float softcap, void* d_logits) {
  return HWY_DYNAMIC_DISPATCH(cross_entropy_any)(element, width, logits, label, softcap, d_logits);
}

}  // namespace lora::simd
#endif
