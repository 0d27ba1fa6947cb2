// SPDX-License-Identifier: Apache-2.0
// Softmax of attention (simd_scores.h), its gradient, and the cross-entropy of simd.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/kernels/simd_scores.h"

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

// Scores that the query must not see become minus infinity, which the cap keeps.
void hide(const ScoreRow& row, float* raw) {
  std::fill(raw, raw + row.begin, kLeast);
  std::fill(raw + row.end, raw + row.width, kLeast);
}

template <class D>
HWY_INLINE hn::Vec<D> score_at(D d, const ScoreRow& row, const float* raw) {
  const auto score = hn::Mul(load(d, raw), hn::Set(d, row.scale));
  if (row.softcap <= 0) return score;
  const auto least = hn::Set(d, kLeast);
  return hn::IfThenElse(hn::Eq(score, least), least, capped(d, score, row.softcap));
}

// exp(x) to 3e-6 for x <= 0, enough for weights that become bfloat16; 0 below exp(-87).
template <class D>
HWY_INLINE hn::Vec<D> coarse_exp(D d, hn::Vec<D> x) {
  const hn::Rebind<std::int32_t, D> integers;
  const auto least = hn::Set(d, -87.0F);
  const auto power = hn::Mul(hn::Max(x, least), hn::Set(d, 1.44269504F));  // of 2
  const auto whole = hn::NearestInt(power);
  const auto part = hn::Sub(power, hn::ConvertTo(d, whole));
  auto y = hn::Set(d, 0.00133335581F);  // ln(2)^k / k! from k = 5 down
  for (const float next : {0.00961812911F, 0.0555041087F, 0.240226507F, 0.693147181F, 1.0F}) {
    y = hn::MulAdd(y, part, hn::Set(d, next));
  }
  const auto bits = hn::Add(hn::BitCast(integers, y), hn::ShiftLeft<23>(whole));
  return hn::IfThenElseZero(hn::Ge(x, least), hn::BitCast(d, bits));
}

// exp of a score minus the largest one, as precise as weights of type T are.
template <class T, class D>
HWY_INLINE hn::Vec<D> weight_exp(D d, hn::Vec<D> x) {
  if constexpr (sizeof(T) == sizeof(Bf16)) return coarse_exp(d, x);
  return hn::Exp(d, x);
}

template <class T>
float softmax(const ScoreRow& row, float* raw, SoftmaxState& state, T* weights) {
  if (row.begin >= row.end) {
    std::fill(weights, weights + row.width, T{});
    return 1;
  }
  hide(row, raw);
  const float most = max_of(row.width, state.most, [&](auto d, std::size_t i) HWY_ATTR {
    const auto score = score_at(d, row, raw + i);
    store(d, score, raw + i);
    return score;
  });
  const float sum = sum_of(row.width, [&](auto d, std::size_t i) HWY_ATTR {
    const auto e = weight_exp<T>(d, hn::Sub(load(d, raw + i), hn::Set(d, most)));
    store(d, e, weights + i);
    return e;
  });
  const float factor = std::exp(state.most - most);
  state = {most, state.sum * factor + sum};
  return factor;
}

// Weight and gradient of the raw score at raw[i].
template <class T, class D>
HWY_INLINE void gradient_at(D d, const ScoreGradRow& x, std::size_t i, hn::Vec<D>& weight,
                            hn::Vec<D>& slope) {
  const auto score = score_at(d, x.row, x.raw + i);
  weight = weight_exp<T>(d, hn::Sub(score, hn::Set(d, x.log_sum)));
  slope = hn::Mul(weight, hn::Sub(load(d, x.d_weights + i), hn::Set(d, x.delta)));
  if (x.row.softcap > 0) {
    const auto hidden = hn::Eq(score, hn::Set(d, kLeast));
    slope = hn::Mul(slope, hn::IfThenZeroElse(hidden, cap_slope(d, score, x.row.softcap)));
  }
  slope = hn::Mul(slope, hn::Set(d, x.row.scale));
}

void softmax_grad_floats(const ScoreGradRow (&rows)[2], const ScoreGradOut& out) {
  for (std::size_t r = 0; r < 2; ++r) {
    const std::size_t width = rows[r].row.width;
    auto* weights = reinterpret_cast<float*>(out.weights) + r * out.step;
    auto* slopes = reinterpret_cast<float*>(out.slopes) + r * out.step;
    for_each(width, [&](auto d, std::size_t i) HWY_ATTR {
      auto weight = hn::Zero(d), slope = weight;
      gradient_at<float>(d, rows[r], i, weight, slope);
      store(d, weight, weights + i);
      store(d, slope, slopes + i);
    });
  }
}

// Bits of two bfloat16, that of `first` below.
template <class D>
HWY_INLINE void store_pair(D d, hn::Vec<D> first, hn::Vec<D> second, std::uint32_t* to) {
  const hn::Rebind<std::uint32_t, D> bits;
  const auto low = hn::ShiftRight<16>(rounded_bits(d, first));
  const auto high = hn::And(rounded_bits(d, second), hn::Set(bits, 0xFFFF0000U));
  hn::StoreU(hn::Or(low, high), bits, to);
}

void softmax_grad_pairs(const ScoreGradRow (&rows)[2], const ScoreGradOut& out) {
  for_each(rows[0].row.width, [&](auto d, std::size_t i) HWY_ATTR {
    auto weight0 = hn::Zero(d), slope0 = weight0, weight1 = weight0, slope1 = weight0;
    gradient_at<Bf16>(d, rows[0], i, weight0, slope0);
    gradient_at<Bf16>(d, rows[1], i, weight1, slope1);
    store_pair(d, weight0, weight1, out.weights + i);
    store_pair(d, slope0, slope1, out.slopes + i);
    store(d, slope0, out.slope_rows + i);
    store(d, slope1, out.slope_rows + out.step + i);
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

float softmax_any(Unit unit, const ScoreRow& row, float* raw, SoftmaxState& state, void* weights) {
  if (unit == Unit::f32) return softmax(row, raw, state, static_cast<float*>(weights));
  return softmax(row, raw, state, static_cast<Bf16*>(weights));
}

void softmax_grad_any(Unit unit, const ScoreGradRow (&rows)[2], const ScoreGradOut& out) {
  for (const ScoreGradRow& x : rows) hide(x.row, x.raw);
  if (unit == Unit::f32) {
    softmax_grad_floats(rows, out);
  } else {
    softmax_grad_pairs(rows, out);
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

float softmax_block(Unit unit, const ScoreRow& row, float* raw, SoftmaxState& state,
                    void* weights) {
  return HWY_DYNAMIC_DISPATCH(softmax_any)(unit, row, raw, state, weights);
}

void softmax_grad_block(Unit unit, const ScoreGradRow (&rows)[2], const ScoreGradOut& out) {
  HWY_DYNAMIC_DISPATCH(softmax_grad_any)(unit, rows, out);
}

float cross_entropy_row(Element element, std::size_t width, float* logits, std::size_t label,
                        float softcap, void* d_logits) {
  return HWY_DYNAMIC_DISPATCH(cross_entropy_any)(element, width, logits, label, softcap, d_logits);
}

}  // namespace lora::simd
#endif
