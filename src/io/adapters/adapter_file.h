// SPDX-License-Identifier: Apache-2.0
// A LoRA adapter in memory, and reading one from any dialect that programs write.
//
// Dialects are recognised key by key (dialects.h), never from the first key. Names are brought to
// one form: the Hugging Face module path ("model.layers.0.self_attn.q_proj"); for images the
// diffusers path with the component first ("unet.mid_block.attentions.0.proj_in",
// "text_encoder.text_model.encoder.layers.0.mlp.fc1", "text_encoder_2...."). The function is kept
// exactly: rank, alpha and scale are the file's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "io/tensors.h"

namespace lora {

enum class AdapterKind { unknown, llm, sd15, sd2, sdxl };

struct AdapterKindRow {
  AdapterKind kind;
  std::string_view name, title;  // "sd15", and for messages "Stable Diffusion 1.5"
  // How kohya's programs call it, each for models of the noise and of v; and whether they use the
  // block names of SGM and number the text encoders.
  std::string_view kohya_base = {}, kohya_base_v = {};  // ss_base_model_version
  std::string_view modelspec = {}, modelspec_v = {};    // modelspec.architecture
  bool kohya_v2 = false, kohya_sgm = false;
  bool images() const { return !kohya_base.empty(); }
};
const AdapterKindRow& adapter_kind(AdapterKind kind);
std::string_view kind_name(AdapterKind kind);
std::string_view kind_title(AdapterKind kind);

// One adapted layer: delta W = scale * B A (convolutions: over the flattened kernel). Tensors in
// the dtype of the file, in memory of their own.
struct AdapterModule {
  std::string path;
  at::Tensor a;          // [rank, in] or [rank, in, kh, kw]
  at::Tensor b;          // [out, rank] or [out, rank, 1, 1]
  at::Tensor magnitude;  // DoRA [out], else undefined
  at::Tensor mid;        // LoCon core [rank, rank, kh, kw] (then `a` is [rank, in, 1, 1])
  double alpha = 0;
  bool alpha_known = false;  // false: the file has none, alpha = rank is assumed
  double scale = 1;

  std::int64_t rank() const { return a.size(0); }
  bool is_conv() const { return a.dim() == 4; }
  std::int64_t in_features() const { return a.size(1); }
  std::int64_t out_features() const { return b.size(0); }
  // Shape of the layer's weight: [out, in] or [out, in, kh, kw].
  std::vector<std::int64_t> weight_shape() const;
  // A with the LoCon core multiplied in, float32: [rank, in] or [rank, in, kh, kw].
  at::Tensor down() const;
  // scale * B A in float32, shape of the layer's weight (without the DoRA rescaling).
  at::Tensor delta() const;
};

struct AdapterFile {
  Path path;            // the safetensors (or GGUF) file that was read
  std::string dialect;  // "peft", "diffusers", "kohya", ...; several joined by " + "
  AdapterKind kind = AdapterKind::unknown;
  std::vector<AdapterModule> modules;  // in name order of the paths
  TensorMap others;                    // what is not LoRA, under its own name: embeddings, score
  Metadata metadata;                   // of the safetensors header

  bool use_rslora = false;
  bool use_dora = false;
  bool fan_in_fan_out = false;  // GPT-2's Conv1D; A and B have the same shapes all the same
  double dropout = 0;
  std::string base_model;  // only a label, as files carry it
  std::string task_type;   // PEFT's: "CAUSAL_LM", "SEQ_CLS", ...; empty where unknown
  std::vector<std::string> target_modules;  // as configured; empty: derived when written

  std::int64_t max_rank() const;
  bool all_alpha_known() const;
  // Image adapters: input width of the first cross-attention key layer (768, 1024, 2048); 0 if
  // there is none.
  std::int64_t cross_attention_width() const;
  const AdapterModule* find(std::string_view module_path) const;
};

struct ReadOptions {
  // A language-model adapter whose alpha is nowhere to be found is an error; true (for inspection)
  // takes alpha = rank with alpha_known = false instead. Image dialects always do that.
  bool assume_alpha = false;
};

// Reads a safetensors file or a folder (PEFT folder, diffusers folder, version folder).
// Throws Error with the file's name for: nothing there, a Git LFS pointer, a pickle, files without
// LoRA tensors (a base model is named as such), half pairs, wrong shapes, a rank that disagrees
// with adapter_config.json, kinds of adapters that are not LoRA (LoHa, LoKr, IA3, ...).
AdapterFile read_adapter(const Path& path, const ReadOptions& options = {});

// The file that read_adapter would read in `path` (itself, or the adapter of a folder).
Path find_adapter_file(const Path& path);

}  // namespace lora
