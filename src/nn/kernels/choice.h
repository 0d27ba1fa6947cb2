// SPDX-License-Identifier: Apache-2.0
// Whether the fused kernels of this folder apply. They take CPU tensors in float32 or bfloat16.
#pragma once

#include <ATen/core/Tensor.h>

namespace lora::kernels {

// True where the fused operators may take x, and nobody switched them off.
bool usable(const at::Tensor& x);

// Switches the fused kernels on or off for a scope, on this thread (tests, `lora bench --plain`).
class FusedKernels {
 public:
  explicit FusedKernels(bool on);
  ~FusedKernels();
  FusedKernels(const FusedKernels&) = delete;
  FusedKernels& operator=(const FusedKernels&) = delete;

 private:
  bool before_;
};

}  // namespace lora::kernels
