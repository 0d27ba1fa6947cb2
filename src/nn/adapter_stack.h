// SPDX-License-Identifier: Apache-2.0
// The adapters of one layer, one upon the other: their contributions are summed.
//
// One that trains is the usual run; one frozen and one training upon it, a patch; those of a parent
// alone, the teacher of a distillation; several frozen ones with weights, a blend.
#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

namespace lora {

// Master weights are float32 whatever the base's dtype.
struct Adapter {
  at::Tensor a;          // linear [rank, in]; convolution [rank, in, kh, kw]
  at::Tensor b;          // linear [out, rank]; convolution [out, rank, 1, 1]
  at::Tensor magnitude;  // DoRA: [out]; undefined for plain LoRA
  double alpha = 0;      // as written in files; `scale` is what is computed with
  double scale = 1;
  double dropout = 0;  // on the input, only while training, only where the adapter trains
  double weight = 1;   // strength at inference (`--version NAME:WEIGHT`)
  bool active = true;  // takes part in forward
  bool trains = true;  // false: gets no gradient

  std::int64_t rank() const { return a.size(0); }
};

using AdapterStack = std::vector<Adapter>;

// True where the layer computes something else than its base.
bool any_active(const AdapterStack& stack);

// Puts `adapter` upon the stack of the layer called `where`. Throws Error for a second one that
// trains (their tensors would have one name), and for DoRA beside another active one: its norm is
// that of the base and its own B A alone.
void add_adapter(AdapterStack& stack, Adapter adapter, std::string_view where);

// Appends the tensors of the stack that learn: active, training, and asked for a gradient.
void append_trainable(const AdapterStack& stack, std::vector<at::Tensor>& tensors);

}  // namespace lora
