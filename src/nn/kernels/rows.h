// SPDX-License-Identifier: Apache-2.0
// Between tensors and the row kernels of simd.h.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "nn/kernels/simd.h"

namespace lora::kernels {

inline simd::Element element_of(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? simd::Element::f32 : simd::Element::bf16;
}

// Address of element `index` of a contiguous tensor.
inline char* at_element(const at::Tensor& x, std::int64_t index) {
  return static_cast<char*>(x.data_ptr()) + index * static_cast<std::int64_t>(x.element_size());
}

// body(begin, end) over rows of `width` elements, on all threads; small work stays on one.
template <class Body>
void for_rows(std::int64_t rows, std::int64_t width, const Body& body) {
  constexpr std::int64_t kGrain = 16384;  // elements worth a thread
  at::parallel_for(0, rows, std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, width)),
                   body);
}

// body(begin, count) over a contiguous range of n elements.
template <class Body>
void for_elements(std::int64_t n, const Body& body) {
  at::parallel_for(0, n, 16384, [&](std::int64_t begin, std::int64_t end) {
    body(begin, static_cast<std::size_t>(end - begin));
  });
}

}  // namespace lora::kernels
