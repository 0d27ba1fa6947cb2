// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/dialects.h"

#include <array>

#include "base/error.h"
#include "io/adapters/kohya_names.h"
#include "io/adapters/module_names.h"

namespace lora {
namespace {

struct Suffix {
  std::string_view text;
  Slot slot;
};

constexpr std::array kDownUp = {Suffix{".lora.down.weight", Slot::a},
                                Suffix{".lora.up.weight", Slot::b}};
constexpr std::array kLinearLayer = {Suffix{".lora_linear_layer.down.weight", Slot::a},
                                     Suffix{".lora_linear_layer.up.weight", Slot::b}};
constexpr std::array kProcessor = {Suffix{"_lora.down.weight", Slot::a},
                                   Suffix{"_lora.up.weight", Slot::b}};
constexpr std::array kKohya = {Suffix{".lora_down.weight", Slot::a},
                               Suffix{".lora_up.weight", Slot::b},
                               Suffix{".lora_mid.weight", Slot::mid}, Suffix{".alpha", Slot::alpha},
                               Suffix{".dora_scale", Slot::magnitude}};

// Splits `key` at one of the suffixes.
template <std::size_t N>
std::optional<ParsedKey> split_suffix(std::string_view key, const std::array<Suffix, N>& suffixes) {
  for (const Suffix& suffix : suffixes) {
    if (key.size() > suffix.text.size() && key.ends_with(suffix.text)) {
      return ParsedKey{std::string(key.substr(0, key.size() - suffix.text.size())), suffix.slot};
    }
  }
  return {};
}

// PEFT's ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector[.weight]". Files that were
// saved without PEFT's own function have the adapter's name in front of "weight".
std::optional<ParsedKey> split_peft(std::string_view key) {
  constexpr std::array kParts = {Suffix{".lora_A", Slot::a}, Suffix{".lora_B", Slot::b},
                                 Suffix{".lora_magnitude_vector", Slot::magnitude}};
  for (const Suffix& part : kParts) {
    const std::size_t at = key.rfind(part.text);
    if (at == std::string_view::npos || at == 0) continue;
    std::string_view rest = key.substr(at + part.text.size());
    if (rest.ends_with(".weight")) {
      rest.remove_suffix(7);
    } else if (part.slot != Slot::magnitude) {
      return {};
    }
    if (rest.rfind('.') != (rest.empty() ? std::string_view::npos : 0)) return {};
    return ParsedKey{std::string(key.substr(0, at)), part.slot};
  }
  return {};
}

bool is_unet(std::string_view path) {
  return path.starts_with("down_blocks.") || path.starts_with("up_blocks.") ||
         path.starts_with("mid_block.");
}

bool has_component(std::string_view path) {
  return path.starts_with("unet.") || path.starts_with("text_encoder.") ||
         path.starts_with("text_encoder_2.");
}

// Recent transformers versions leave `text_model.` out of the names of CLIP.
std::string with_text_model(std::string path) {
  for (const std::string_view component : {"text_encoder.", "text_encoder_2."}) {
    if (path.starts_with(component) && path.substr(component.size()).starts_with("encoder.")) {
      return path.insert(component.size(), "text_model.");
    }
  }
  return path;
}

// Modules of a language model: "base_model.model." + path, also nested or without it. PEFT folders
// of a UNet or of CLIP have the same prefix and get their component here.
std::optional<ParsedKey> peft_key(std::string_view key) {
  constexpr std::string_view kPrefix = "base_model.model.";
  const bool prefixed = key.starts_with(kPrefix);
  while (key.starts_with(kPrefix)) key.remove_prefix(kPrefix.size());
  auto parsed = split_peft(key);
  if (!parsed) return {};
  std::string& path = parsed->module;
  if (const auto text = language_path(path)) {
    path = *text;
  } else if (!prefixed) {
    return {};
  } else if (is_unet(path)) {
    path.insert(0, "unet.");
  } else if (path.starts_with("text_model.encoder.")) {
    path.insert(0, "text_encoder.");
  }
  return parsed;
}

std::optional<ParsedKey> image_key(std::optional<ParsedKey> parsed) {
  if (!parsed || !has_component(parsed->module)) return {};
  parsed->module = with_text_model(std::move(parsed->module));
  return parsed;
}

std::optional<ParsedKey> diffusers_peft_key(std::string_view key) {
  return image_key(split_peft(key));
}

std::optional<ParsedKey> diffusers_key(std::string_view key) {
  return image_key(split_suffix(key, kDownUp));
}

std::optional<ParsedKey> linear_layer_key(std::string_view key) {
  return image_key(split_suffix(key, kLinearLayer));
}

// "[unet.]mid_block....attn1.processor.to_q_lora.down.weight"; to_out stands for to_out.0.
std::optional<ParsedKey> processor_key(std::string_view key) {
  auto parsed = split_suffix(key, kProcessor);
  if (!parsed) return {};
  std::string& path = parsed->module;
  constexpr std::string_view kProcessorPart = ".processor.";
  const std::size_t at = path.find(kProcessorPart);
  if (at == std::string::npos) return {};
  path.replace(at, kProcessorPart.size(), ".");
  if (path.ends_with(".to_out")) path += ".0";
  if (is_unet(path)) path.insert(0, "unet.");
  return image_key(std::move(parsed));
}

std::optional<ParsedKey> kohya_key(std::string_view key) {
  auto parsed = split_suffix(key, kKohya);
  if (!parsed) return {};
  const auto path = path_of_kohya(parsed->module);
  if (!path) return {};
  parsed->module = with_text_model(*path);
  return parsed;
}

// ComfyUI's own: the names of its models with kohya's or PEFT's parts behind them.
std::optional<ParsedKey> comfyui_key(std::string_view key) {
  constexpr std::string_view kUnet = "diffusion_model.", kEncoders = "text_encoders.";
  struct Encoder {
    std::string_view begins, component;
  };
  constexpr std::array kClip = {Encoder{"clip_l.transformer.", "text_encoder."},
                                Encoder{"clip_h.transformer.", "text_encoder."},
                                Encoder{"clip_g.transformer.", "text_encoder_2."}};
  auto parsed = split_suffix(key, kKohya);
  if (!parsed) parsed = split_peft(key);
  if (!parsed) return {};
  std::string_view name = parsed->module;
  if (name.starts_with(kUnet)) {
    const auto path = path_of_unet(name.substr(kUnet.size()));
    if (!path) return {};
    return ParsedKey{*path, parsed->slot};
  }
  if (name.starts_with(kEncoders)) name.remove_prefix(kEncoders.size());
  for (const Encoder& clip : kClip) {
    if (!name.starts_with(clip.begins)) continue;
    const std::string path = join(clip.component, name.substr(clip.begins.size()));
    return ParsedKey{with_text_model(path), parsed->slot};
  }
  return {};
}

constexpr std::array kDialects = {
    KeyDialect{"peft", peft_key},
    KeyDialect{"diffusers-peft", diffusers_peft_key},
    KeyDialect{"diffusers", diffusers_key},
    KeyDialect{"diffusers-linear-layer", linear_layer_key},
    KeyDialect{"diffusers-old", processor_key},
    KeyDialect{"kohya", kohya_key},
    KeyDialect{"comfyui", comfyui_key},
};

struct Foreign {
  std::string_view part, name;
};
constexpr std::array kForeign = {Foreign{".hada_w", "LoHa"},
                                 Foreign{".lokr_w", "LoKr"},
                                 Foreign{".boft_", "BOFT"},
                                 Foreign{".oft_", "OFT"},
                                 Foreign{".lora_embedding_", "an embedding LoRA"},
                                 Foreign{".lora_E", "AdaLoRA"},
                                 Foreign{".ranknum", "AdaLoRA"},
                                 Foreign{".ia3_l", "IA3"},
                                 Foreign{".vera_lambda", "VeRA"},
                                 Foreign{".vblora_", "VBLoRA"},
                                 Foreign{".randlora_", "RandLoRA"},
                                 Foreign{".fourierft_", "FourierFT"},
                                 Foreign{".hra_u", "HRA"},
                                 Foreign{".shira_weight", "SHiRA"},
                                 Foreign{".miss_block", "MiSS"},
                                 Foreign{".bone_block", "Bone"},
                                 Foreign{".c3a_kernel", "C3A"},
                                 Foreign{".w_norm", "a norm adapter"},
                                 Foreign{".b_norm", "a norm adapter"},
                                 Foreign{"prompt_embeddings", "prompt tuning"}};

}  // namespace

std::span<const KeyDialect> key_dialects() { return kDialects; }

std::string_view foreign_adapter(std::string_view key) {
  const bool up = key.find(".lora_B.") != std::string_view::npos;
  if (up && key.ends_with(".bias")) return "a LoRA with bias";
  if (key.ends_with(".diff") || key.ends_with(".diff_b")) return "a full difference";
  for (const Foreign& row : kForeign) {
    if (key.find(row.part) != std::string_view::npos) return row.name;
  }
  return "";
}

}  // namespace lora
