// SPDX-License-Identifier: Apache-2.0
#include "nn/weights/frozen_weight.h"

#include "io/aten.h"

namespace lora {

struct FrozenWeight::Stored {
  at::Tensor plain;
  std::shared_ptr<kernels::PreparedConv> prepared = nullptr;
};

FrozenWeight::FrozenWeight(const at::Tensor& weight) {
  if (!weight.defined()) return;
  at::Tensor plain = weight.detach();
  // Products take matrices with a stride of 1.
  if (plain.dim() == 2 && plain.stride(0) != 1 && plain.stride(1) != 1) plain = plain.contiguous();
  stored_ = std::make_shared<Stored>(Stored{plain});
}

at::IntArrayRef FrozenWeight::sizes() const { return stored_->plain.sizes(); }
std::int64_t FrozenWeight::numel() const { return stored_->plain.numel(); }
at::ScalarType FrozenWeight::dtype() const { return stored_->plain.scalar_type(); }
at::Device FrozenWeight::device() const { return stored_->plain.device(); }

at::Tensor FrozenWeight::dense() const { return stored_->plain; }

FrozenWeight FrozenWeight::rows(std::int64_t first, std::int64_t count) const {
  return stored_->plain.narrow(0, first, count);
}

FrozenWeight FrozenWeight::flat() const { return stored_->plain.flatten(1); }

std::shared_ptr<kernels::PreparedConv>& FrozenWeight::prepared() const { return stored_->prepared; }

}  // namespace lora
