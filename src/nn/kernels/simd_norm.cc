// SPDX-License-Identifier: Apache-2.0
// RMSNorm, LayerNorm, rotary embedding and the plain element-wise rows of simd.h.
#include <cmath>

#include "nn/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/kernels/simd_norm.cc"
#include <hwy/foreach_target.h>

#include "nn/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::simd::HWY_NAMESPACE {

template <class T>
NormStats norm(const NormRow& row, const T* x, const T* add, T* sum, T* y) {
  const std::size_t n = row.width;
  const auto count = static_cast<float>(n);
  if (add != nullptr) {
    for_each(n, [&](auto d, std::size_t i)
                    HWY_ATTR { store(d, hn::Add(load(d, x + i), load(d, add + i)), sum + i); });
    x = sum;
  }
  NormStats stats{0, 0};
  if (row.bias != nullptr) {
    stats.mean = sum_of(n, [&](auto d, std::size_t i) HWY_ATTR { return load(d, x + i); }) / count;
  }
  const float squares = sum_of(n, [&](auto d, std::size_t i) HWY_ATTR {
    const auto v = hn::Sub(load(d, x + i), hn::Set(d, stats.mean));
    return hn::Mul(v, v);
  });
  stats.rstd = 1.0F / std::sqrt(squares / count + row.epsilon);
  for_each(n, [&](auto d, std::size_t i) HWY_ATTR {
    const auto centred = hn::Sub(load(d, x + i), hn::Set(d, stats.mean));
    const auto v = hn::Mul(hn::Mul(centred, hn::Set(d, stats.rstd)), load(d, row.weight + i));
    store(d, row.bias == nullptr ? v : hn::Add(v, load(d, row.bias + i)), y + i);
  });
  return stats;
}

template <class T>
void norm_grad(const NormRow& row, const T* dy, const T* x, const NormStats& stats, const T* more,
               T* dx) {
  const std::size_t n = row.width;
  const auto count = static_cast<float>(n);
  const float dot = sum_of(n, [&](auto d, std::size_t i) HWY_ATTR {
    const auto centred = hn::Sub(load(d, x + i), hn::Set(d, stats.mean));
    return hn::Mul(hn::Mul(load(d, dy + i), load(d, row.weight + i)), centred);
  });
  float level = 0;  // LayerNorm: the mean of x takes a part, too
  if (row.bias != nullptr) {
    level = stats.rstd / count * sum_of(n, [&](auto d, std::size_t i) HWY_ATTR {
              return hn::Mul(load(d, dy + i), load(d, row.weight + i));
            });
  }
  const float share = dot * stats.rstd * stats.rstd * stats.rstd / count;
  for_each(n, [&](auto d, std::size_t i) HWY_ATTR {
    const auto g =
        hn::Mul(hn::Mul(load(d, dy + i), load(d, row.weight + i)), hn::Set(d, stats.rstd));
    const auto centred = hn::Sub(load(d, x + i), hn::Set(d, stats.mean));
    auto result = hn::Sub(hn::NegMulAdd(centred, hn::Set(d, share), g), hn::Set(d, level));
    if (more != nullptr) result = hn::Add(result, load(d, more + i));
    store(d, result, dx + i);
  });
}

template <class T>
void rotate(std::size_t width, const T* x, const float* cos, const float* sin, float sign, T* y) {
  const std::size_t half = width / 2;
  for_each(half, [&](auto d, std::size_t i) HWY_ATTR {
    const auto a = load(d, x + i), b = load(d, x + half + i);
    const auto turn = hn::Set(d, sign);
    const auto sin_a = hn::Mul(turn, load(d, sin + i));
    const auto sin_b = hn::Mul(turn, load(d, sin + half + i));
    // Forward: ya = a cos_a - b sin_a, yb = b cos_b + a sin_b. Back: the transposed matrix.
    const auto first = sign > 0 ? sin_a : sin_b;
    const auto second = sign > 0 ? sin_b : sin_a;
    store(d, hn::NegMulAdd(b, first, hn::Mul(a, load(d, cos + i))), y + i);
    store(d, hn::MulAdd(a, second, hn::Mul(b, load(d, cos + half + i))), y + half + i);
  });
}

template <class T>
float dot(std::size_t n, const T* a, const T* b) {
  return sum_of(
      n, [&](auto d, std::size_t i) HWY_ATTR { return hn::Mul(load(d, a + i), load(d, b + i)); });
}

template <class T>
void narrow(std::size_t n, const float* from, float factor, T* to) {
  for_each(n, [&](auto d, std::size_t i)
                  HWY_ATTR { store(d, hn::Mul(load(d, from + i), hn::Set(d, factor)), to + i); });
}

NormStats norm_any(const NormRow& row, const void* x, const void* add, void* sum, void* y) {
  if (row.element == Element::f32) {
    return norm(row, static_cast<const float*>(x), static_cast<const float*>(add),
                static_cast<float*>(sum), static_cast<float*>(y));
  }
  return norm(row, static_cast<const Bf16*>(x), static_cast<const Bf16*>(add),
              static_cast<Bf16*>(sum), static_cast<Bf16*>(y));
}

void norm_grad_any(const NormRow& row, const void* dy, const void* x, const NormStats& stats,
                   const void* more, void* dx) {
  if (row.element == Element::f32) {
    norm_grad(row, static_cast<const float*>(dy), static_cast<const float*>(x), stats,
              static_cast<const float*>(more), static_cast<float*>(dx));
  } else {
    norm_grad(row, static_cast<const Bf16*>(dy), static_cast<const Bf16*>(x), stats,
              static_cast<const Bf16*>(more), static_cast<Bf16*>(dx));
  }
}

void rotate_any(Element element, std::size_t width, const void* x, const float* cos,
                const float* sin, float sign, void* y) {
  if (element == Element::f32) {
    rotate(width, static_cast<const float*>(x), cos, sin, sign, static_cast<float*>(y));
  } else {
    rotate(width, static_cast<const Bf16*>(x), cos, sin, sign, static_cast<Bf16*>(y));
  }
}

float dot_any(Element element, std::size_t n, const void* a, const void* b) {
  if (element == Element::f32) {
    return dot(n, static_cast<const float*>(a), static_cast<const float*>(b));
  }
  return dot(n, static_cast<const Bf16*>(a), static_cast<const Bf16*>(b));
}

void narrow_any(Element element, std::size_t n, const float* from, float factor, void* to) {
  if (element == Element::f32) {
    narrow(n, from, factor, static_cast<float*>(to));
  } else {
    narrow(n, from, factor, static_cast<Bf16*>(to));
  }
}

}  // namespace lora::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::simd {

HWY_EXPORT(norm_any);
HWY_EXPORT(norm_grad_any);
HWY_EXPORT(rotate_any);
HWY_EXPORT(dot_any);
HWY_EXPORT(narrow_any);

NormStats norm_row(const NormRow& row, const void* x, const void* add, void* sum, void* y) {
  return HWY_DYNAMIC_DISPATCH(norm_any)(row, x, add, sum, y);
}

void norm_grad_row(const NormRow& row, const void* dy, const void* x, const NormStats& stats,
                   const void* more, void* dx) {
  HWY_DYNAMIC_DISPATCH(norm_grad_any)(row, dy, x, stats, more, dx);
}

void rotate_row(Element element, std::size_t width, const void* x, const float* cos,
                const float* sin, float sine_sign, void* y) {
  HWY_DYNAMIC_DISPATCH(rotate_any)(element, width, x, cos, sin, sine_sign, y);
}

float dot_row(Element element, std::size_t width, const void* a, const void* b) {
  return HWY_DYNAMIC_DISPATCH(dot_any)(element, width, a, b);
}

void narrow_range(Element element, std::size_t n, const float* from, float factor, void* to) {
  HWY_DYNAMIC_DISPATCH(narrow_any)(element, n, from, factor, to);
}

}  // namespace lora::simd
#endif
