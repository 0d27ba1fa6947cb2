// SPDX-License-Identifier: Apache-2.0
// Linear and Conv2d of a frozen base, each with a stack of adapters.
//
// LoRA (arXiv 2106.09685, eq. 3): y = base(x) + scale * B(A(dropout(x))), summed over the stack;
// scale = alpha / rank, or alpha / sqrt(rank) with rsLoRA (arXiv 2312.03732). DoRA: arXiv
// 2402.09353. Same numbers as PEFT 0.20 (tests/llm). A fresh adapter has A ~ U(-1/sqrt(fan_in),
// 1/sqrt(fan_in)) and B = 0, so it changes nothing.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

#include "nn/adapter_stack.h"
#include "nn/weights/frozen_weight.h"
#include "nn/kernels/types.h"

namespace lora {

// A frozen layer: `bias` [out] or undefined, in the weight's dtype. Models own their layers;
// adapters are attached by name.
struct Layer {
  FrozenWeight weight;
  at::Tensor bias;
  AdapterStack adapters;  // none active: the plain base
  bool is_conv = false;
  std::int64_t stride = 1, padding = 0;  // convolutions
  // GPT-2's Conv1D: files hold the weight as [in, out]; here it is transposed at load.
  bool fan_in_fan_out = false;

  std::int64_t in_features() const { return weight.size(1); }
  std::int64_t out_features() const { return weight.size(0); }

  // x [..., in] -> [..., out], or x [B, in, H, W] -> [B, out, H', W']; dtype of x is kept.
  at::Tensor forward(const at::Tensor& x) const;
};

using LayerVisitor = std::function<void(const std::string& name, Layer& layer)>;

// The layer as it computes now: its active adapters, with dropout only in training.
LayerTerm term_of(const Layer& layer);
at::Tensor forward_term(const at::Tensor& x, const LayerTerm& term);

// True while a training step runs: dropout is active only then. Per thread.
bool training_mode();
class TrainingMode {  // sets it for a scope
 public:
  explicit TrainingMode(bool on);
  ~TrainingMode();
  TrainingMode(const TrainingMode&) = delete;
  TrainingMode& operator=(const TrainingMode&) = delete;

 private:
  bool before_;
};

// What the active adapters (one at least) add to the weight, in float32 and its shape: the sum of
// scale * B A. Of DoRA, that part alone.
at::Tensor adapter_delta(const Layer& layer);

}  // namespace lora
