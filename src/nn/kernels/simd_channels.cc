// SPDX-License-Identifier: Apache-2.0
// Rows of channels of simd.h: what GroupNorm with SiLU does in channels_last memory.
#include <algorithm>

#include "nn/kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/kernels/simd_channels.cc"
#include <hwy/foreach_target.h>

#include "nn/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::simd::HWY_NAMESPACE {

template <class T>
void sums(const ChannelRows& shape, const T* x, float* sums, float* squares) {
  std::fill_n(sums, shape.channels, 0.0F);
  std::fill_n(squares, shape.channels, 0.0F);
  for (std::size_t row = 0; row < shape.rows; ++row, x += shape.channels) {
    for_each(shape.channels, [&](auto d, std::size_t i) HWY_ATTR {
      const auto v = load(d, x + i);
      store(d, hn::Add(load(d, sums + i), v), sums + i);
      store(d, hn::MulAdd(v, v, load(d, squares + i)), squares + i);
    });
  }
}

template <class T>
void apply(const ChannelRows& shape, bool silu, const T* x, const float* scale, const float* offset,
           T* y) {
  for (std::size_t row = 0; row < shape.rows; ++row, x += shape.channels, y += shape.channels) {
    for_each(shape.channels, [&](auto d, std::size_t i) HWY_ATTR {
      auto z = hn::MulAdd(load(d, scale + i), load(d, x + i), load(d, offset + i));
      auto slope = z;
      if (silu) Silu::at(d, z, z, slope);
      store(d, z, y + i);
    });
  }
}

// Gradient before the SiLU.
template <class D, class T>
HWY_INLINE hn::Vec<D> gradient(D d, bool silu, const T* dy, hn::Vec<D> x, const float* scale,
                               const float* offset) {
  const auto g = load(d, dy);
  if (!silu) return g;
  const auto z = hn::MulAdd(load(d, scale), x, load(d, offset));
  auto value = z, slope = z;
  Silu::at(d, z, value, slope);
  return hn::Mul(g, slope);
}

template <class T>
void grad_sums(const ChannelRows& shape, bool silu, const T* dy, const T* x, const float* scale,
               const float* offset, float* sums, float* products) {
  std::fill_n(sums, shape.channels, 0.0F);
  std::fill_n(products, shape.channels, 0.0F);
  for (std::size_t row = 0; row < shape.rows; ++row, x += shape.channels, dy += shape.channels) {
    for_each(shape.channels, [&](auto d, std::size_t i) HWY_ATTR {
      const auto v = load(d, x + i);
      const auto dz = gradient(d, silu, dy + i, v, scale + i, offset + i);
      store(d, hn::Add(load(d, sums + i), dz), sums + i);
      store(d, hn::MulAdd(dz, v, load(d, products + i)), products + i);
    });
  }
}

template <class T>
void grad(const ChannelRows& shape, bool silu, const T* dy, const T* x, const float* scale,
          const float* offset, const float* by_x, const float* constant, T* dx) {
  for (std::size_t row = 0; row < shape.rows; ++row) {
    for_each(shape.channels, [&](auto d, std::size_t i) HWY_ATTR {
      const auto v = load(d, x + i);
      const auto dz = gradient(d, silu, dy + i, v, scale + i, offset + i);
      const auto rest = hn::MulAdd(load(d, by_x + i), v, load(d, constant + i));
      store(d, hn::MulAdd(load(d, scale + i), dz, rest), dx + i);
    });
    x += shape.channels;
    dy += shape.channels;
    dx += shape.channels;
  }
}

void sums_any(const ChannelRows& shape, const void* x, float* to, float* squares) {
  if (shape.element == Element::f32) return sums(shape, static_cast<const float*>(x), to, squares);
  sums(shape, static_cast<const Bf16*>(x), to, squares);
}

void apply_any(const ChannelRows& shape, bool silu, const void* x, const float* scale,
               const float* offset, void* y) {
  if (shape.element == Element::f32) {
    apply(shape, silu, static_cast<const float*>(x), scale, offset, static_cast<float*>(y));
  } else {
    apply(shape, silu, static_cast<const Bf16*>(x), scale, offset, static_cast<Bf16*>(y));
  }
}

void grad_sums_any(const ChannelRows& shape, bool silu, const void* dy, const void* x,
                   const float* scale, const float* offset, float* to, float* products) {
  if (shape.element == Element::f32) {
    grad_sums(shape, silu, static_cast<const float*>(dy), static_cast<const float*>(x), scale,
              offset, to, products);
  } else {
    grad_sums(shape, silu, static_cast<const Bf16*>(dy), static_cast<const Bf16*>(x), scale, offset,
              to, products);
  }
}

void grad_any(const ChannelRows& shape, bool silu, const void* dy, const void* x,
              const float* scale, const float* offset, const float* by_x, const float* constant,
              void* dx) {
  if (shape.element == Element::f32) {
    grad(shape, silu, static_cast<const float*>(dy), static_cast<const float*>(x), scale, offset,
         by_x, constant, static_cast<float*>(dx));
  } else {
    grad(shape, silu, static_cast<const Bf16*>(dy), static_cast<const Bf16*>(x), scale, offset,
         by_x, constant, static_cast<Bf16*>(dx));
  }
}

}  // namespace lora::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::simd {

HWY_EXPORT(sums_any);
HWY_EXPORT(apply_any);
HWY_EXPORT(grad_sums_any);
HWY_EXPORT(grad_any);

void channel_sums(const ChannelRows& shape, const void* x, float* sums, float* squares) {
  HWY_DYNAMIC_DISPATCH(sums_any)(shape, x, sums, squares);
}

void channel_apply(const ChannelRows& shape, bool silu, const void* x, const float* scale,
                   const float* offset, void* y) {
  HWY_DYNAMIC_DISPATCH(apply_any)(shape, silu, x, scale, offset, y);
}

void channel_grad_sums(const ChannelRows& shape, bool silu, const void* dy, const void* x,
                       const float* scale, const float* offset, float* sums, float* products) {
  HWY_DYNAMIC_DISPATCH(grad_sums_any)(shape, silu, dy, x, scale, offset, sums, products);
}

void channel_grad(const ChannelRows& shape, bool silu, const void* dy, const void* x,
                  const float* scale, const float* offset, const float* by_x, const float* constant,
                  void* dx) {
  HWY_DYNAMIC_DISPATCH(grad_any)(shape, silu, dy, x, scale, offset, by_x, constant, dx);
}

}  // namespace lora::simd
#endif
