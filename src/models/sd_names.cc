// SPDX-License-Identifier: Apache-2.0
// The rule between diffusers names and the names of the original layout.
#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "models/sd_checkpoint.h"
#include "models/sd_kinds.h"

namespace lora {
namespace {

using Words = std::vector<std::string>;
using Pair = std::pair<std::string_view, std::string_view>;

std::string rest(const Words& words, std::size_t from) {
  return join_words(Words(words.begin() + static_cast<std::ptrdiff_t>(from), words.end()), ".");
}

// Replaces the beginning of `name` by the first pair that fits; otherwise `name` stays.
template <std::size_t N>
std::string renamed(const std::string& name, const std::array<Pair, N>& pairs) {
  for (const auto& [from, to] : pairs) {
    if (name == from || name.starts_with(join(from, "."))) {
      return join(to, name.substr(from.size()));
    }
  }
  return name;
}

constexpr std::array<Pair, 6> kResnet = {{{"norm1", "in_layers.0"},
                                          {"conv1", "in_layers.2"},
                                          {"time_emb_proj", "emb_layers.1"},
                                          {"norm2", "out_layers.0"},
                                          {"conv2", "out_layers.3"},
                                          {"conv_shortcut", "skip_connection"}}};

constexpr std::array<Pair, 7> kUNetEnds = {{{"conv_in", "input_blocks.0.0"},
                                            {"time_embedding.linear_1", "time_embed.0"},
                                            {"time_embedding.linear_2", "time_embed.2"},
                                            {"add_embedding.linear_1", "label_emb.0.0"},
                                            {"add_embedding.linear_2", "label_emb.0.2"},
                                            {"conv_norm_out", "out.0"},
                                            {"conv_out", "out.2"}}};

// down_blocks, up_blocks: `words` = {group, block, kind, index, ...}.
std::string unet_block(const UNetConfig& config, const Words& words) {
  const std::int64_t layers = config.layers_per_block;
  const std::int64_t block = std::stoll(words[1]), index = std::stoll(words[3]);
  const bool down = words[0] == "down_blocks";
  const std::int64_t first = down ? 1 + block * (layers + 1) : block * (layers + 1);
  const std::string group = down ? "input_blocks." : "output_blocks.";
  if (words[2] == "resnets") {
    return join(group, first + index, ".0.", renamed(rest(words, 4), kResnet));
  }
  if (words[2] == "attentions") return join(group, first + index, ".1.", rest(words, 4));
  if (words[2] == "downsamplers") return join(group, first + layers, ".0.op.", rest(words, 5));
  // The upsampler is the last member of the block's last entry.
  const bool attention = config.up_attention.at(static_cast<std::size_t>(block));
  return join(group, first + layers, attention ? ".2." : ".1.", rest(words, 4));
}

std::string unet_name(const UNetConfig& config, const std::string& name) {
  const Words words = split(name, '.');
  if (words[0] == "down_blocks" || words[0] == "up_blocks") return unet_block(config, words);
  if (words[0] != "mid_block") return renamed(name, kUNetEnds);
  if (words[1] == "attentions") return "middle_block.1." + rest(words, 3);
  const char* place = words[2] == "0" ? "0" : "2";
  return join("middle_block.", place, ".", renamed(rest(words, 3), kResnet));
}

constexpr std::array<Pair, 1> kVaeResnet = {{{"conv_shortcut", "nin_shortcut"}}};
constexpr std::array<Pair, 9> kVaeAttention = {{{"group_norm", "norm"},
                                                {"to_q", "q"},
                                                {"to_k", "k"},
                                                {"to_v", "v"},
                                                {"to_out.0", "proj_out"},
                                                {"query", "q"},
                                                {"key", "k"},
                                                {"value", "v"},
                                                {"proj_attn", "proj_out"}}};

std::string vae_stage(const VaeConfig& config, const Words& words) {
  const bool down = words[1] == "down_blocks";
  const std::int64_t levels = static_cast<std::int64_t>(config.channels.size());
  const std::int64_t block = std::stoll(words[2]);
  const std::string stage =
      down ? join("encoder.down.", block, ".") : join("decoder.up.", levels - 1 - block, ".");
  if (words[3] == "resnets") {
    return join(stage, "block.", words[4], ".", renamed(rest(words, 5), kVaeResnet));
  }
  return join(stage, down ? "downsample." : "upsample.", rest(words, 5));
}

std::string vae_name(const VaeConfig& config, const std::string& name) {
  const Words words = split(name, '.');
  if (words.size() < 4) {
    const std::size_t at = name.find("conv_norm_out");
    if (at == std::string::npos) return name;
    return name.substr(0, at) + name.substr(at + 5);  // norm_out
  }
  if (words[1] != "mid_block") return vae_stage(config, words);
  if (words[2] == "attentions") {
    return join(words[0], ".mid.attn_1.", renamed(rest(words, 4), kVaeAttention));
  }
  return join(words[0], ".mid.block_", std::stoi(words[3]) + 1, ".",
              renamed(rest(words, 4), kVaeResnet));
}

constexpr std::array<Pair, 4> kOpenClip = {
    {{"text_model.embeddings.token_embedding", "token_embedding"},
     {"text_model.embeddings.position_embedding.weight", "positional_embedding"},
     {"text_model.final_layer_norm", "ln_final"},
     {"text_projection.weight", "text_projection"}}};
constexpr std::array<Pair, 5> kOpenClipLayer = {{{"layer_norm1", "ln_1"},
                                                 {"layer_norm2", "ln_2"},
                                                 {"mlp.fc1", "mlp.c_fc"},
                                                 {"mlp.fc2", "mlp.c_proj"},
                                                 {"self_attn.out_proj", "attn.out_proj"}}};

std::string open_clip_name(const std::string& name) {
  constexpr std::string_view layers = "text_model.encoder.layers.";
  if (!name.starts_with(layers)) return renamed(name, kOpenClip);
  const std::string inner = name.substr(layers.size());
  const std::size_t dot = inner.find('.');
  const std::string block = "transformer.resblocks." + inner.substr(0, dot + 1);
  const std::string part = inner.substr(dot + 1);
  for (const char* fused : {"self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."}) {
    if (part.starts_with(fused)) {
      return join(block, "attn.in_proj_", part.substr(std::string_view(fused).size()));
    }
  }
  return block + renamed(part, kOpenClipLayer);
}

}  // namespace

std::string original_name(SdPart part, const SdConfig& config, const std::string& name) {
  const SdKindRow& kind = sd_kind(config.kind);
  switch (part) {
    case SdPart::unet:
      return "model.diffusion_model." + unet_name(config.unet, name);
    case SdPart::vae:
      return "first_stage_model." + vae_name(config.vae, name);
    case SdPart::text:
      return join(kind.text_prefix, kind.open_clip ? open_clip_name(name) : name);
    case SdPart::text_2:
      return "conditioner.embedders.1.model." + open_clip_name(name);
  }
  fail("no such part");
}

}  // namespace lora
