// SPDX-License-Identifier: Apache-2.0
// The kinds of Stable Diffusion: everything that one has and another has not.
#pragma once

#include <string_view>

#include "io/adapters/adapter_file.h"
#include "models/sd_config.h"

namespace lora {

struct SdKindRow {
  SdKind kind;
  std::string_view name;  // for messages
  AdapterKind adapter;    // of the adapters for it
  SdConfig (*preset)();   // the published settings, which single files rely on

  // Text_2, which makes half of the text states and the pooled state; with that the UNet is told
  // the sizes of the picture.
  bool second_encoder;
  // Which hidden state of an encoder the UNet gets, hidden[size - from_end], and whether the final
  // layer norm follows.
  std::int64_t from_end;
  bool final_norm;

  // Single files: one of these tensors shows the kind (the second may be empty),
  std::string_view sign, other_sign;
  // what the names of the first text encoder begin with and whether they are open_clip's,
  std::string_view text_prefix;
  bool open_clip;
  // and whether models of v are among the files that do not say what they predict.
  bool may_predict_v;
};

const SdKindRow& sd_kind(SdKind kind);
// Of a single file, by its tensors; nullptr where it has no text encoder of a kind.
const SdKindRow* sd_kind_in(const SafetensorsFile& file);
// By the UNet: SDXL's has added embeddings; SD 2 differs from SD 1 by its linear projections.
SdKind kind_of(const SdConfig& config);
SdConfig sd_preset(SdKind kind);

}  // namespace lora
