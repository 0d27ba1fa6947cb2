// SPDX-License-Identifier: Apache-2.0
// Matrix products on the CPU through oneDNN, on matrices with any row or column stride.
//
// oneDNN's kernels are about twice as fast as the BLAS behind ATen in float32 on AVX-512, and use
// AVX512-BF16 or AMX where the processor has them; weights need no packed copy. A product that
// oneDNN lacks on this processor (bfloat16 on AVX2) is computed in float32 by ATen.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lora::kernels {

// A matrix inside memory that somebody else owns. One of the strides (in elements) must be 1.
struct Matrix {
  void* data = nullptr;
  at::ScalarType type = at::kFloat;  // float32 or bfloat16
  std::int64_t rows = 0, columns = 0;
  std::int64_t row_stride = 0, column_stride = 1;

  Matrix transposed() const { return {data, type, columns, rows, column_stride, row_stride}; }
  // Rows [begin, begin + count).
  Matrix row_range(std::int64_t begin, std::int64_t count) const;
};

// `tensor` [..., columns] as a matrix with all leading dimensions as rows; it must be viewable so.
Matrix matrix(const at::Tensor& tensor);

// out = a b + bias, or out += a b + bias. a and b have one dtype; out has that dtype or float32.
// bias [out.columns], dtype of a, or nullptr.
// Callable from inside a parallel region: it then uses the calling thread alone.
void multiply(const Matrix& a, const Matrix& b, const Matrix& out, bool add = false,
              const void* bias = nullptr);

}  // namespace lora::kernels
