// SPDX-License-Identifier: Apache-2.0
// Loads, stores, loops and reductions that the simd_*.cc files share. Included once for every
// vector set by Highway's foreach_target.h, hence no #pragma once.
#if defined(LORA_SIMD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_SIMD_INL
#undef LORA_SIMD_INL
#else
#define LORA_SIMD_INL
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lora::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Wide = hn::ScalableTag<float>;
using Single = hn::CappedTag<float, 1>;  // for the last elements of a row
using Bf16 = std::uint16_t;              // bits of a bfloat16

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* from) {
  return hn::LoadU(d, from);
}

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const Bf16* from) {
  const hn::Rebind<std::uint16_t, D> half;
  const hn::Rebind<std::uint32_t, D> bits;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(bits, hn::LoadU(half, from))));
}

template <class D>
HWY_INLINE void store(D d, hn::Vec<D> value, float* to) {
  hn::StoreU(value, d, to);
}

// Bits of `value`, the upper half rounded to nearest even; a NaN stays one.
template <class D>
HWY_INLINE hn::Vec<hn::Rebind<std::uint32_t, D>> rounded_bits([[maybe_unused]] D d,
                                                              hn::Vec<D> value) {
  const hn::Rebind<std::uint32_t, D> bits;
  const auto raw = hn::BitCast(bits, value);
  const auto odd = hn::And(hn::ShiftRight<16>(raw), hn::Set(bits, 1));
  const auto rounded = hn::Add(raw, hn::Add(odd, hn::Set(bits, 0x7FFF)));
  const auto quiet = hn::Or(raw, hn::Set(bits, 0x400000));
  return hn::IfThenElse(hn::RebindMask(bits, hn::IsNaN(value)), quiet, rounded);
}

template <class D>
HWY_INLINE void store(D d, hn::Vec<D> value, Bf16* to) {
  const hn::Rebind<std::uint16_t, D> half;
  hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(rounded_bits(d, value))), half, to);
}

// body(tag, i) for whole vectors, then for the single elements that are left.
template <class Body>
HWY_INLINE void for_each(std::size_t n, Body body) {
  const Wide wide;
  const std::size_t lanes = hn::Lanes(wide);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) body(wide, i);
  for (; i < n; ++i) body(Single(), i);
}

// Sum of term(tag, i).
template <class Term>
HWY_INLINE float sum_of(std::size_t n, Term term) {
  const Wide wide;
  const std::size_t lanes = hn::Lanes(wide);
  auto first = hn::Zero(wide), second = hn::Zero(wide);
  std::size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    first = hn::Add(first, term(wide, i));
    second = hn::Add(second, term(wide, i + lanes));
  }
  for (; i + lanes <= n; i += lanes) first = hn::Add(first, term(wide, i));
  float total = hn::GetLane(hn::SumOfLanes(wide, hn::Add(first, second)));
  for (; i < n; ++i) total += hn::GetLane(term(Single(), i));
  return total;
}

// Largest term(tag, i); `least` for an empty range.
template <class Term>
HWY_INLINE float max_of(std::size_t n, float least, Term term) {
  const Wide wide;
  const std::size_t lanes = hn::Lanes(wide);
  auto most = hn::Set(wide, least);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) most = hn::Max(most, term(wide, i));
  float result = hn::GetLane(hn::MaxOfLanes(wide, most));
  for (; i < n; ++i) {
    const float value = hn::GetLane(term(Single(), i));
    if (!(value <= result)) result = value;
  }
  return result;
}

// x sigmoid(x): value and derivative at x.
struct Silu {
  template <class D, class V>
  static HWY_INLINE void at(D d, V x, V& value, V& slope) {
    const V one = hn::Set(d, 1.0F);
    const V e = hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0F)));
    const V sigmoid = hn::Div(one, hn::Add(one, e));
    value = hn::Mul(x, sigmoid);
    slope = hn::Mul(sigmoid, hn::MulAdd(x, hn::Sub(one, sigmoid), one));
  }
};

}  // namespace lora::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
