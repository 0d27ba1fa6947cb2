// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/cloneofsimo.h"

#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json_text.h"
#include "base/text.h"

namespace lora {
namespace {

// One transformer block in registration order of the diffusers of early 2023: attn1, ff, attn2.
constexpr std::array kBlock = {"attn1.to_q",     "attn1.to_k",    "attn1.to_v",
                               "attn1.to_out.0", "ff.net.0.proj", "attn2.to_q",
                               "attn2.to_k",     "attn2.to_v",    "attn2.to_out.0"};
constexpr std::array kTextBlock = {"k_proj", "v_proj", "q_proj", "out_proj"};
constexpr int kDown = 6, kUp = 9, kTextLayers = 12;

std::string unet_path(int index) {
  const int per = static_cast<int>(kBlock.size());
  const int block = index / per;
  std::string head;
  if (block < kDown) {
    head = join("down_blocks.", block / 2, ".attentions.", block % 2);
  } else if (block < kDown + kUp) {  // the first up block has no attention
    head = join("up_blocks.", (block - kDown) / 3 + 1, ".attentions.", (block - kDown) % 3);
  } else {
    head = "mid_block.attentions.0";  // registered last
  }
  return join("unet.", head, ".transformer_blocks.0.",
              kBlock[static_cast<std::size_t>(index % per)]);
}

std::string text_path(int index) {
  const int per = static_cast<int>(kTextBlock.size());
  return join("text_encoder.text_model.encoder.layers.", index / per, ".self_attn.",
              kTextBlock[static_cast<std::size_t>(index % per)]);
}

void check_targets(const std::string& component, const Metadata& metadata,
                   const std::string& where) {
  const std::set<std::string> wanted =
      component == "unet" ? std::set<std::string>{"CrossAttention", "Attention", "GEGLU"}
                          : std::set<std::string>{"CLIPAttention"};
  const auto at = metadata.find(component);
  if (at == metadata.end()) return;  // the defaults of that program
  const auto json = parse_json<nlohmann::json>(at->second, where + ": metadata", "damaged file?");
  std::set<std::string> found;
  if (json.is_array()) {
    for (const auto& name : json) found.insert(name.is_string() ? name.get<std::string>() : "?");
  }
  if (found != wanted) {
    fail(where, ": modules are only numbered, and their order is not known for target classes ",
         at->second, " (expected ", join_words({wanted.begin(), wanted.end()}),
         "); convert the file with the program it came from");
  }
}

}  // namespace

std::optional<ParsedKey> cloneofsimo_key(std::string_view key, const Metadata& metadata,
                                         const std::string& where) {
  const std::vector<std::string> parts = split(key, ':');
  if (parts.size() != 3 || (parts[0] != "unet" && parts[0] != "text_encoder")) return {};
  if (parts[2] != "down" && parts[2] != "up") return {};
  if (parts[1].empty() || parts[1].size() > 4 ||
      parts[1].find_first_not_of("0123456789") != std::string::npos) {
    return {};
  }
  const bool unet = parts[0] == "unet";
  check_targets(parts[0], metadata, where);
  const int index = std::stoi(parts[1]);
  const int count = unet ? (kDown + kUp + 1) * static_cast<int>(kBlock.size())
                         : kTextLayers * static_cast<int>(kTextBlock.size());
  if (index >= count) {
    fail(where, ": tensor '", key, "': Stable Diffusion 1.x has ", count, " such modules (found ",
         "number ", index, "); convert the file with the program it came from");
  }
  return ParsedKey{unet ? unet_path(index) : text_path(index),
                   parts[2] == "down" ? Slot::a : Slot::b};
}

}  // namespace lora
