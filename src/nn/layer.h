// SPDX-License-Identifier: Apache-2.0
// Linear and Conv2d of a frozen base, each with a slot for an adapter.
//
// LoRA (arXiv 2106.09685, eq. 3): y = base(x) + scale * B(A(dropout(x))); scale = alpha / rank, or
// alpha / sqrt(rank) with rsLoRA (arXiv 2312.03732). DoRA: arXiv 2402.09353. Same numbers as PEFT
// 0.20 (tests/llm). A fresh adapter has A ~ U(-1/sqrt(fan_in), 1/sqrt(fan_in)) and B = 0, so it
// changes nothing.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace lora {

namespace kernels {
class PreparedConv;
}

// Trainable part of one layer. Master weights are float32 whatever the base's dtype.
struct Adapter {
  at::Tensor a;          // linear [rank, in]; convolution [rank, in, kh, kw]
  at::Tensor b;          // linear [out, rank]; convolution [out, rank, 1, 1]
  at::Tensor magnitude;  // DoRA: [out]; undefined for plain LoRA
  double alpha = 0;      // as written in files; `scale` is what is computed with
  double scale = 1;
  double dropout = 0;  // on the input, only while training
  double weight = 1;   // strength at inference (`--version NAME:WEIGHT`)

  std::int64_t rank() const { return a.size(0); }
};

// A frozen layer. `weight` [out, in] (convolution [out, in, kh, kw]) and `bias` [out] or undefined,
// in the compute dtype. Models own their layers; adapters are attached by name.
struct Layer {
  at::Tensor weight;
  at::Tensor bias;
  std::shared_ptr<Adapter> adapter;  // nullptr: the plain base
  bool is_conv = false;
  std::int64_t stride = 1, padding = 0;  // convolutions
  // GPT-2's Conv1D: files hold the weight as [in, out]; here it is transposed at load.
  bool fan_in_fan_out = false;
  // What the fused convolution keeps of `weight`, made at its first use.
  mutable std::shared_ptr<kernels::PreparedConv> prepared = nullptr;

  std::int64_t in_features() const { return weight.size(1); }
  std::int64_t out_features() const { return weight.size(0); }

  // x [..., in] -> [..., out], or x [B, in, H, W] -> [B, out, H', W']; dtype of x is kept.
  at::Tensor forward(const at::Tensor& x) const;
};

using LayerVisitor = std::function<void(const std::string& name, Layer& layer)>;

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

// scale * B A as a full weight, in float32, shape of layer.weight (DoRA: new weight - old weight).
at::Tensor adapter_delta(const Layer& layer);

}  // namespace lora
