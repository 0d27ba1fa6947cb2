// SPDX-License-Identifier: Apache-2.0
// GGUF, llama.cpp's container: writing a LoRA adapter that llama.cpp loads, and reading headers.
// Facts: the GGUF v3 specification of ggml and llama.cpp's adapter loader (MIT).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/adapters/adapter_file.h"

namespace lora {

struct GgufName {
  std::string_view module, tensor;  // "self_attn.q_proj", "attn_q"
};

// How GGUF keeps a family of models.
struct GgufLayout {
  std::string_view architecture;    // GGUF's name: llama (also Mistral), qwen2, ...
  std::string_view layers;          // what the paths of modules begin with: "model.layers."
  std::span<const GgufName> names;  // of the modules of a layer
  bool permutes = false;            // rows of q and k: it keeps Meta's rotary layout
};

// What the export must know of the base model.
struct GgufBase {
  GgufLayout layout;
  std::int64_t heads = 0, kv_heads = 0;
  bool tied_embeddings = false;
};

// The bytes of a GGUF adapter: general.type "adapter", adapter.type "lora", one
// adapter.lora.alpha (per-module alphas and rsLoRA are folded into it and into lora_b), tensors
// "<GGUF base tensor>.lora_a" [ne in, rank] and ".lora_b" [ne rank, out] in float32. Rows of lora_b
// of q and k are permuted where the layout says so.
// Throws Error for DoRA, image adapters, other tensors (embeddings, score), modules that GGUF has
// no tensor for, lm_head on tied embeddings.
std::string encode_gguf(const AdapterFile& adapter, const GgufBase& base);

struct GgufHeader {
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> shape;  // ne: fastest dimension first
    std::uint32_t type = 0;            // 0 float32, 1 float16, 30 bfloat16, ...
    std::uint64_t offset = 0;          // within the data
  };
  std::uint32_t version = 0;
  std::map<std::string, std::string> values;  // as text; arrays as "[N values]"
  std::vector<Tensor> tensors;                // in file order
  std::uint64_t data_begin = 0;               // offset of the data in the file
};

// Reads the header of any GGUF file, version 2 or 3. Throws Error naming the file for anything
// else and for lengths beyond the end of the file.
GgufHeader read_gguf_header(const Path& path);

// The GGUF tensor of a module, "blk.0.attn_q.weight"; "" where there is none.
std::string gguf_tensor_name(const std::string& module, const GgufLayout& layout);

}  // namespace lora
