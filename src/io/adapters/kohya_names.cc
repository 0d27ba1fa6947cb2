// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/kohya_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "base/error.h"
#include "base/numbers.h"
#include "base/text.h"

namespace lora {
namespace {

using Parts = std::vector<std::string>;

// Every part of a module path that has an underscore or may stand beside one. The flat name is
// cut by the longest part that fits, so "proj_in" wins over "proj".
constexpr std::array kParts = {"down_blocks",
                               "up_blocks",
                               "mid_block",
                               "attentions",
                               "resnets",
                               "downsamplers",
                               "upsamplers",
                               "conv",
                               "transformer_blocks",
                               "attn1",
                               "attn2",
                               "to_q",
                               "to_k",
                               "to_v",
                               "to_out",
                               "ff",
                               "net",
                               "proj",
                               "proj_in",
                               "proj_out",
                               "conv1",
                               "conv2",
                               "time_emb_proj",
                               "conv_shortcut",
                               "conv_in",
                               "conv_out",
                               "linear_1",
                               "linear_2",
                               "time_embedding",
                               "add_embedding",
                               "text_model",
                               "encoder",
                               "layers",
                               "self_attn",
                               "q_proj",
                               "k_proj",
                               "v_proj",
                               "out_proj",
                               "mlp",
                               "fc1",
                               "fc2",
                               "embeddings",
                               "token_embedding",
                               "position_embedding",
                               "text_projection",
                               "input_blocks",
                               "output_blocks",
                               "middle_block",
                               "in_layers",
                               "out_layers",
                               "emb_layers",
                               "skip_connection",
                               "op",
                               "time_embed",
                               "label_emb",
                               "out"};

struct Prefix {
  std::string_view flat, path;
};
// Longest first: "lora_te_" is no prefix of "lora_te1_".
constexpr std::array kPrefixes = {
    Prefix{"lora_unet_", "unet."}, Prefix{"lora_te_", "text_encoder."},
    Prefix{"lora_te1_", "text_encoder."}, Prefix{"lora_te2_", "text_encoder_2."}};

// Inner names of an SGM residual block and their diffusers names.
struct Inner {
  std::string_view sgm, diffusers;
};
constexpr std::array kResnet = {Inner{"in_layers.2", "conv1"}, Inner{"out_layers.3", "conv2"},
                                Inner{"emb_layers.1", "time_emb_proj"},
                                Inner{"skip_connection", "conv_shortcut"}};
constexpr std::array kOuter = {Inner{"input_blocks.0.0", "conv_in"},
                               Inner{"out.2", "conv_out"},
                               Inner{"time_embed.0", "time_embedding.linear_1"},
                               Inner{"time_embed.2", "time_embedding.linear_2"},
                               Inner{"label_emb.0.0", "add_embedding.linear_1"},
                               Inner{"label_emb.0.2", "add_embedding.linear_2"}};

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

// The longest known part, or number, at the front of `name`; "" if there is none.
std::string_view front_part(std::string_view name) {
  const auto ends = [&](std::size_t size) { return size == name.size() || name[size] == '_'; };
  std::size_t digits = 0;
  while (digits < name.size() && std::isdigit(static_cast<unsigned char>(name[digits]))) ++digits;
  if (digits > 0) return ends(digits) && digits < 5 ? name.substr(0, digits) : "";
  std::string_view best;
  for (const std::string_view part : kParts) {
    if (name.starts_with(part) && ends(part.size()) && part.size() > best.size()) {
      best = name.substr(0, part.size());
    }
  }
  return best;
}

std::optional<Parts> cut(std::string_view name) {
  Parts parts;
  while (!name.empty()) {
    const std::string_view part = front_part(name);
    if (part.empty()) return {};
    parts.emplace_back(part);
    name.remove_prefix(std::min(name.size(), part.size() + 1));
  }
  if (parts.empty()) return {};
  return parts;
}

std::string tail(const Parts& parts, std::size_t from) {
  return join_words({parts.begin() + static_cast<std::ptrdiff_t>(from), parts.end()}, ".");
}

int small_number(const std::string& digits, const std::string& path) {
  constexpr std::int64_t kMost = 999;
  const auto number = whole_number(digits);
  if (!number || *number > kMost) {
    fail("module 'unet.", path, "': no UNet has so many blocks (found ", digits,
         ", expected at most ", kMost, "); damaged file?");
  }
  return static_cast<int>(*number);
}

std::optional<std::string> resnet_inner(std::string_view sgm) {
  for (const Inner& row : kResnet) {
    if (row.sgm == sgm) return std::string(row.diffusers);
  }
  return {};
}

// Blocks of the original layout: three entries a level, `sub` 0 is the residual block.
std::optional<std::string> block_path(const Parts& parts) {
  if (parts.size() < 4 || !is_number(parts[1]) || !is_number(parts[2])) return {};
  const bool input = parts[0] == "input_blocks";
  const int index = small_number(parts[1], tail(parts, 0)) - (input ? 1 : 0);
  if (index < 0) return {};
  const std::string level = join(input ? "down_blocks." : "up_blocks.", index / 3);
  const std::string rest = tail(parts, 3);
  if (input && rest == "op") return level + ".downsamplers.0.conv";
  if (!input && rest == "conv") return level + ".upsamplers.0.conv";
  if (parts[2] == "0") {
    const auto inner = resnet_inner(rest);
    if (!inner) return {};
    return join(level, ".resnets.", index % 3, ".", *inner);
  }
  if (parts[2] != "1") return {};
  return join(level, ".attentions.", index % 3, ".", rest);
}

std::optional<std::string> middle_path(const Parts& parts) {
  if (parts.size() < 3) return {};
  const std::string rest = tail(parts, 2);
  if (parts[1] == "1") return "mid_block.attentions.0." + rest;
  const auto inner = resnet_inner(rest);
  if (!inner || (parts[1] != "0" && parts[1] != "2")) return {};
  return join("mid_block.resnets.", parts[1] == "0" ? 0 : 1, ".", *inner);
}

// The diffusers path of a UNet module given in either layout.
std::optional<std::string> unet_path(const Parts& parts) {
  const std::string dotted = tail(parts, 0);
  for (const Inner& row : kOuter) {
    if (row.sgm == dotted) return std::string(row.diffusers);
  }
  if (parts[0] == "input_blocks" || parts[0] == "output_blocks") return block_path(parts);
  if (parts[0] == "middle_block") return middle_path(parts);
  if (parts[0] == "time_embed" || parts[0] == "label_emb" || parts[0] == "out") return {};
  return dotted;
}

std::string sgm_inner(const Parts& parts, std::size_t from) {
  std::string rest = tail(parts, from);
  for (const Inner& row : kResnet) {
    if (row.diffusers == rest) return std::string(row.sgm);
  }
  return rest;
}

// SGM path of a diffusers UNet path. Throws Error where a number in it is too large.
std::string sgm_path(const std::string& path) {
  for (const Inner& row : kOuter) {
    if (row.diffusers == path) return std::string(row.sgm);
  }
  const Parts parts = split(path, '.');
  if (parts.size() > 3 && parts[0] == "mid_block") {
    if (parts[1] == "attentions") return "middle_block.1." + tail(parts, 3);
    return join("middle_block.", parts[2] == "0" ? 0 : 2, ".", sgm_inner(parts, 3));
  }
  if (parts.size() < 5 || !is_number(parts[1]) || !is_number(parts[3])) return path;
  const int level = small_number(parts[1], path), layer = small_number(parts[3], path);
  if (parts[0] == "down_blocks") {
    if (parts[2] == "downsamplers") return join("input_blocks.", 3 * level + 3, ".0.op");
    const int index = 3 * level + layer + 1;
    return parts[2] == "resnets" ? join("input_blocks.", index, ".0.", sgm_inner(parts, 4))
                                 : join("input_blocks.", index, ".1.", tail(parts, 4));
  }
  if (parts[2] == "upsamplers") return join("output_blocks.", 3 * level + 2, ".2.conv");
  const int index = 3 * level + layer;
  return parts[2] == "resnets" ? join("output_blocks.", index, ".0.", sgm_inner(parts, 4))
                               : join("output_blocks.", index, ".1.", tail(parts, 4));
}

}  // namespace

std::optional<std::string> path_of_kohya(std::string_view name) {
  for (const Prefix& prefix : kPrefixes) {
    if (!name.starts_with(prefix.flat)) continue;
    const auto parts = cut(name.substr(prefix.flat.size()));
    if (!parts) return {};
    const auto path = prefix.path == "unet." ? unet_path(*parts) : tail(*parts, 0);
    if (!path) return {};
    return std::string(prefix.path) + *path;
  }
  return {};
}

std::optional<std::string> path_of_unet(std::string_view dotted) {
  const Parts parts = split(dotted, '.');
  const bool known = std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
    return !part.empty() && front_part(part) == part;
  });
  const auto path = known ? unet_path(parts) : std::nullopt;
  if (!path) return {};
  return "unet." + *path;
}

std::string kohya_of_path(std::string_view path, bool sdxl) {
  std::string flat, inner;
  if (path.starts_with("unet.")) {
    inner = path.substr(5);
    flat = "lora_unet_" + (sdxl ? sgm_path(inner) : inner);
  } else if (path.starts_with("text_encoder_2.")) {
    flat = join("lora_te2_", path.substr(15));
  } else if (path.starts_with("text_encoder.")) {
    flat = join(sdxl ? "lora_te1_" : "lora_te_", path.substr(13));
  } else {
    fail("module '", path, "': has no kohya name (expected unet., text_encoder. or ",
         "text_encoder_2. in front); export it as peft");
  }
  std::replace(flat.begin(), flat.end(), '.', '_');
  return flat;
}

}  // namespace lora
