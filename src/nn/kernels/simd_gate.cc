// SPDX-License-Identifier: Apache-2.0
// Gated activations of simd.h: value and slope in one pass.
#include "nn/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/kernels/simd_gate.cc"
#include <hwy/foreach_target.h>

#include "nn/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::simd::HWY_NAMESPACE {

// As Silu of simd-inl.h: value and derivative at x.
struct GeluTanh {
  template <class D, class V>
  static HWY_INLINE void at(D d, V x, V& value, V& slope) {
    constexpr float kRoot = 0.7978845608F;  // sqrt(2 / pi)
    constexpr float kCube = 0.044715F;
    const V one = hn::Set(d, 1.0F), half_x = hn::Mul(hn::Set(d, 0.5F), x);
    const V square = hn::Mul(x, x);
    const V inner =
        hn::Mul(hn::Mul(hn::Set(d, kRoot), x), hn::MulAdd(hn::Set(d, kCube), square, one));
    const V t = hn::Tanh(d, inner);
    const V rise = hn::Mul(hn::Set(d, kRoot), hn::MulAdd(hn::Set(d, 3 * kCube), square, one));
    value = hn::Mul(half_x, hn::Add(one, t));
    slope = hn::MulAdd(hn::Mul(half_x, hn::NegMulAdd(t, t, one)), rise,
                       hn::Mul(hn::Set(d, 0.5F), hn::Add(one, t)));
  }
};

// With the error function: Abramowitz and Stegun 7.1.26, off by at most 1.5e-7.
struct Gelu {
  template <class D, class V>
  static HWY_INLINE void at(D d, V x, V& value, V& slope) {
    constexpr float kRootHalf = 0.70710678119F, kDensity = 0.39894228040F;  // 1 / sqrt(2 pi)
    const V one = hn::Set(d, 1.0F), half = hn::Set(d, 0.5F);
    const V z = hn::Abs(hn::Mul(x, hn::Set(d, kRootHalf)));
    const V t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.3275911F), z, one));
    V sum = hn::Set(d, 1.061405429F);
    for (const float next : {-1.453152027F, 1.421413741F, -0.284496736F, 0.254829592F}) {
      sum = hn::MulAdd(sum, t, hn::Set(d, next));
    }
    const V e = hn::Exp(d, hn::Neg(hn::Min(hn::Mul(z, z), hn::Set(d, 88.0F))));
    // Half of 1 - erf(|z|): the share of the normal distribution beyond |x|.
    const V beyond = hn::Mul(hn::Mul(half, hn::Mul(sum, t)), e);
    const V share = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), beyond, hn::Sub(one, beyond));
    value = hn::Mul(x, share);
    slope = hn::MulAdd(hn::Mul(x, hn::Set(d, kDensity)), e, share);
  }
};

struct Relu {
  template <class D, class V>
  static HWY_INLINE void at(D d, V x, V& value, V& slope) {
    value = hn::Max(x, hn::Zero(d));
    slope = hn::IfThenElseZero(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0F));
  }
};

template <class Function, class T>
void forward(std::size_t n, const T* g, const T* u, T* h) {
  for_each(n, [&](auto d, std::size_t i) HWY_ATTR {
    auto value = hn::Zero(d), slope = value;
    Function::at(d, load(d, g + i), value, slope);
    store(d, hn::Mul(value, load(d, u + i)), h + i);
  });
}

template <class Function, class T>
void backward(std::size_t n, const T* dh, const T* g, const T* u, T* dg, T* du, T* h) {
  for_each(n, [&](auto d, std::size_t i) HWY_ATTR {
    auto value = hn::Zero(d), slope = value;
    Function::at(d, load(d, g + i), value, slope);
    const auto dy = load(d, dh + i), up = load(d, u + i);
    store(d, hn::Mul(hn::Mul(dy, up), slope), dg + i);
    store(d, hn::Mul(dy, value), du + i);
    if (h != nullptr) store(d, hn::Mul(value, up), h + i);
  });
}

template <class T>
void forward_of(Gate gate, std::size_t n, const void* g, const void* u, void* h) {
  const auto* from_g = static_cast<const T*>(g);
  const auto* from_u = static_cast<const T*>(u);
  auto* to = static_cast<T*>(h);
  if (gate == Gate::silu) return forward<Silu>(n, from_g, from_u, to);
  if (gate == Gate::gelu) return forward<Gelu>(n, from_g, from_u, to);
  if (gate == Gate::gelu_tanh) return forward<GeluTanh>(n, from_g, from_u, to);
  forward<Relu>(n, from_g, from_u, to);
}

template <class T>
void backward_of(Gate gate, std::size_t n, const void* dh, const void* g, const void* u, void* dg,
                 void* du, void* h) {
  const auto* dy = static_cast<const T*>(dh);
  const auto* from_g = static_cast<const T*>(g);
  const auto* from_u = static_cast<const T*>(u);
  auto *to_g = static_cast<T*>(dg), *to_u = static_cast<T*>(du), *to_h = static_cast<T*>(h);
  if (gate == Gate::silu) return backward<Silu>(n, dy, from_g, from_u, to_g, to_u, to_h);
  if (gate == Gate::gelu) return backward<Gelu>(n, dy, from_g, from_u, to_g, to_u, to_h);
  if (gate == Gate::gelu_tanh) {
    return backward<GeluTanh>(n, dy, from_g, from_u, to_g, to_u, to_h);
  }
  backward<Relu>(n, dy, from_g, from_u, to_g, to_u, to_h);
}

void gate_any(Element element, Gate gate, std::size_t n, const void* g, const void* u, void* h) {
  if (element == Element::f32) {
    forward_of<float>(gate, n, g, u, h);
  } else {
    forward_of<Bf16>(gate, n, g, u, h);
  }
}

void gate_grad_any(Element element, Gate gate, std::size_t n, const void* dh, const void* g,
                   const void* u, void* dg, void* du, void* h) {
  if (element == Element::f32) {
    backward_of<float>(gate, n, dh, g, u, dg, du, h);
  } else {
    backward_of<Bf16>(gate, n, dh, g, u, dg, du, h);
  }
}

}  // namespace lora::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::simd {

HWY_EXPORT(gate_any);
HWY_EXPORT(gate_grad_any);

void gate_range(Element element, Gate gate, std::size_t n, const void* g, const void* u, void* h) {
  HWY_DYNAMIC_DISPATCH(gate_any)(element, gate, n, g, u, h);
}

void gate_grad_range(Element element, Gate gate, std::size_t n, const void* dh, const void* g,
                     const void* u, void* dg, void* du, void* h) {
  HWY_DYNAMIC_DISPATCH(gate_grad_any)(element, gate, n, dh, g, u, dg, du, h);
}

}  // namespace lora::simd
#endif
