// SPDX-License-Identifier: Apache-2.0
// BLIP captioning (arXiv 2201.12086) in the Hugging Face layout (BlipForConditionalGeneration):
// a ViT over the picture, and a BERT decoder that attends to it. Same numbers as transformers 5.12
// (tests/fixtures/blip).
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "io/image.h"
#include "models/beam_search.h"

namespace lora {

class Blip {
 public:
  // `folder`: config.json, model.safetensors (or shards), vocab.txt or tokenizer.json,
  // preprocessor_config.json (optional). Computes in float32 on `device`, where all tensors lie.
  // Throws Error for anything else, naming it.
  static std::unique_ptr<Blip> load(const Path& folder,
                                    at::Device device = at::Device(at::kCPU));
  virtual ~Blip() = default;

  // Pixels as the model wants them: [1, 3, S, S] float32.
  virtual at::Tensor pixels(const Image& image) const = 0;
  // pixels [B, 3, S, S] -> states [B, 1 + patches, D].
  virtual at::Tensor encode(const at::Tensor& pixels) const = 0;
  // ids [B, T], states [B, N, D] -> logits [B, T, V].
  virtual at::Tensor decode(const at::Tensor& ids, const at::Tensor& states) const = 0;

  // Ids of the caption, start and end tokens included. `options.end` is the model's own.
  virtual Sequence caption_ids(const at::Tensor& pixels, SearchOptions options) const = 0;
  // The caption as text; beam search with 3 beams, at most 30 tokens.
  virtual std::string caption(const Image& image) const = 0;
};

}  // namespace lora
