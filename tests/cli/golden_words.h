// SPDX-License-Identifier: Apache-2.0
// The sizes of the golden set that messages name: "{width}" in a message is read from its files.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "io/adapters/adapter_file.h"
#include "io/aten.h"
#include "tests/golden_set.h"

namespace lora::test {

inline Path sd_file(const std::string& file) {
  return std::filesystem::absolute(golden() / "sd" / file);
}

inline const std::string kSingle = "tiny-sd15-single/tiny-sd15.safetensors";
inline const std::string kKohya = "lora/c_kohya_attn.safetensors";

inline AdapterFile kohya_adapter() { return read_adapter(sd_file(kKohya)); }

inline nlohmann::json part_config(const std::string& part) {
  return read_json(sd_file(part + "/config.json"));
}

// Of the cross attention of the tiny model.
inline std::int64_t golden_width() {
  return part_config("tiny-sd15/unet").at("cross_attention_dim").get<std::int64_t>();
}

// What is wrong with the first `share` of a file: its first tensor, by place, that is not whole.
inline std::string cut_at(const Path& path, double share) {
  const std::string bytes = read_file(path);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto left = static_cast<std::uint64_t>(share * double(bytes.size()));
  if (left < 8 + header) {
    return join("the header claims ", header, " bytes but the file has ", left - 8,
                " after its length");
  }
  const std::uint64_t data = left - 8 - header;
  std::pair<std::uint64_t, std::string> first(std::numeric_limits<std::uint64_t>::max(), "");
  const auto rows = nlohmann::json::parse(bytes.substr(8, header));
  for (const auto& [name, row] : rows.items()) {
    if (name == "__metadata__") continue;
    const auto end = row.at("data_offsets").at(1).get<std::uint64_t>();
    if (end > data) first = std::min(first, {end, name});
  }
  return join("tensor '", first.second, "': data ends at byte ", first.first, " but the file has ",
              data);
}

// Of the UNet, of which the kohya adapter has the attention's.
inline std::int64_t linear_layers_without_adapter() {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : read_weights(sd_file("tiny-sd15/unet"))) {
    count += name.ends_with(".weight") && tensor.dim() == 2;
  }
  return count - static_cast<std::int64_t>(kohya_adapter().modules.size());
}

inline const std::map<std::string, std::string>& golden_words() {
  static const std::map<std::string, std::string> words = [] {
    const std::int64_t rank = kohya_adapter().max_rank();
    const nlohmann::json unet = part_config("tiny-sd15/unet");
    return std::map<std::string, std::string>{
        {"{rank}", join(rank)},
        {"{rank x 4}", join(4 * rank)},
        {"{width}", join(golden_width())},
        {"{width + 16}", join(golden_width() + 16)},
        {"{sdxl width}", part_config("sdxl/tiny-sdxl/unet").at("cross_attention_dim").dump()},
        {"{channels}", unet.at("block_out_channels").at(0).dump()},
        {"{layers}", part_config("tiny-sd15/text_encoder").at("num_hidden_layers").dump()},
        {"{linear layers without adapter}", join(linear_layers_without_adapter())},
        {"{checkpoint cut at 0.5}", cut_at(sd_file(kSingle), 0.5)},
        {"{checkpoint cut in the header}", cut_at(sd_file(kSingle), 0.001)},
        {"{adapter cut at 0.7}", cut_at(sd_file(kKohya), 0.7)}};
  }();
  return words;
}

inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

inline std::string with_golden_words(std::string text) {
  for (const auto& [word, value] : golden_words()) text = replaced(text, word, value);
  return text;
}

}  // namespace lora::test
