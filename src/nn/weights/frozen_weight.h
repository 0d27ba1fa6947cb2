// SPDX-License-Identifier: Apache-2.0
// The weight of a frozen layer: its sizes, where and in which number format it computes and, where
// a kernel needs all of it, a dense tensor. How the numbers are stored is known to
// frozen_weight.cc alone; now they are a plain tensor in the compute dtype.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

namespace lora {

namespace kernels {
class PreparedConv;
}

// A handle: copies share what is stored. A weight never gets a gradient.
class FrozenWeight {
 public:
  FrozenWeight() = default;  // of a layer that the model does not have
  // A plain weight, linear [out, in] or convolution [out, in, kh, kw].
  FrozenWeight(const at::Tensor& weight);

  bool defined() const { return stored_ != nullptr; }
  at::IntArrayRef sizes() const;  // [out, in] or [out, in, kh, kw]
  std::int64_t size(std::int64_t dimension) const {
    return sizes()[static_cast<std::size_t>(dimension)];
  }
  std::int64_t numel() const;
  std::int64_t fan_in() const { return numel() / size(0); }  // numbers of one output: in * kh * kw
  at::ScalarType dtype() const;                              // that of dense()
  at::Device device() const;

  // The whole weight, shape sizes(): the stored tensor itself where it is plain. Kernels ask when
  // they compute and keep nothing, so that a weight stored otherwise is dense only for a moment.
  at::Tensor dense() const;

  // The output features [first, first + count) as a weight of their own.
  FrozenWeight rows(std::int64_t first, std::int64_t count) const;
  // [out, in * kh * kw]: a 1 x 1 convolution as a linear layer.
  FrozenWeight flat() const;

  // What the fused convolution keeps of the weight, made at its first use.
  std::shared_ptr<kernels::PreparedConv>& prepared() const;

 private:
  struct Stored;
  std::shared_ptr<Stored> stored_;
};

}  // namespace lora
