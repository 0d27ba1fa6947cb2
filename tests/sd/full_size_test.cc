// SPDX-License-Identifier: Apache-2.0
// The adapters of Stable Diffusion at its published sizes, without its weights: which layers the
// default targets adapt, and the names, shapes and bytes that diffusers writes for them.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/config.h"
#include "io/adapters/adapter_writer.h"
#include "io/aten.h"
#include "io/safetensors.h"
#include "models/sd_kinds.h"
#include "models/unet.h"
#include "nn/attach.h"
#include "nn/new_adapter.h"
#include "tests/paths.h"

namespace lora {
namespace {

using Shape = std::vector<std::int64_t>;
using Shapes = std::map<std::string, Shape>;

constexpr std::int64_t kRank = 4;
constexpr const char* kParts[] = {"to_q", "to_k", "to_v", "to_out.0"};

// Tensors that have shapes but no memory.
class HollowWeights : public WeightSource {
 public:
  std::string where() const override { return "hollow"; }
  bool has(const std::string&) const override { return true; }
  at::Tensor take(const std::string&, at::IntArrayRef shape) override {
    return at::empty(shape, at::TensorOptions(at::Device(at::kMeta)).dtype(at::kFloat));
  }
};

UNet hollow_unet(const UNetConfig& config) {
  HollowWeights weights;
  Modules modules(weights, {.dtype = at::kFloat, .device = at::Device(at::kMeta)});
  return UNet(config, modules);
}

// The file of a fresh adapter of rank 4 on the default targets.
std::string adapter_bytes(SdKind kind, AdapterKind adapter_kind) {
  UNet unet = hollow_unet(sd_preset(kind).unet);
  std::vector<NamedLayer> layers;
  unet.for_each_layer("unet.", [&](const std::string& name, Layer& layer) {
    if (!is_target("attention", name, layer.is_conv)) return;
    layer.adapters = {{.a = at::zeros({kRank, layer.in_features()}),
                       .b = at::zeros({layer.out_features(), kRank}),
                       .alpha = kRank,
                       .scale = 1}};
    layers.push_back({name, &layer});
  });
  return encode_diffusers(detach(layers, adapter_kind));
}

Shapes shapes_in(const std::string& bytes) {
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  Shapes shapes;
  for (const auto& [name, row] : header.items()) {
    if (name != "__metadata__") shapes[name] = row.at("shape").get<Shape>();
  }
  return shapes;
}

// Transformers of one place in the UNet.
struct Place {
  std::string path;        // "down_blocks.0"
  int attentions, blocks;  // transformers there, blocks in each
  std::int64_t width;
};

// diffusers' naming rule: self-attention and cross-attention, four projections, A and B.
Shapes shapes_by_rule(const std::vector<Place>& places, std::int64_t text_width) {
  Shapes shapes;
  for (const Place& place : places) {
    for (int i = 0; i < place.attentions * place.blocks * 8; ++i) {
      const int block = i / 8 % place.blocks, attention = i / 8 / place.blocks;
      const bool cross = i / 4 % 2 == 1;
      const std::string part = kParts[i % 4];
      const std::string name = "unet." + place.path + ".attentions." + std::to_string(attention) +
                               ".transformer_blocks." + std::to_string(block) +
                               (cross ? ".attn2." : ".attn1.") + part;
      const bool reads_text = cross && (part == "to_k" || part == "to_v");
      shapes[name + ".lora_A.weight"] = {kRank, reads_text ? text_width : place.width};
      shapes[name + ".lora_B.weight"] = {place.width, kRank};
    }
  }
  return shapes;
}

}  // namespace

TEST(SdFullSize, AdapterOfSd15) {
  const std::string bytes = adapter_bytes(SdKind::sd1, AdapterKind::sd15);
  const Shapes shapes = shapes_in(bytes);
  EXPECT_EQ(shapes.size(), 256);
  EXPECT_EQ(shapes, shapes_by_rule({{"down_blocks.0", 2, 1, 320},
                                    {"down_blocks.1", 2, 1, 640},
                                    {"down_blocks.2", 2, 1, 1280},
                                    {"mid_block", 1, 1, 1280},
                                    {"up_blocks.1", 3, 1, 1280},
                                    {"up_blocks.2", 3, 1, 640},
                                    {"up_blocks.3", 3, 1, 320}},
                                   768));
  // Published files of rank 4 have 3,226,184 bytes; their names (.lora.down, .lora.up) are three
  // and one letters longer than .lora_A and .lora_B.
  EXPECT_EQ(bytes.size(), 3226184 - 128 * (3 + 1));
}

TEST(SdFullSize, AdapterOfSdxl) {
  const Shapes shapes = shapes_in(adapter_bytes(SdKind::sdxl, AdapterKind::sdxl));
  EXPECT_EQ(shapes.size(), 1120);
  EXPECT_EQ(shapes, shapes_by_rule({{"down_blocks.1", 2, 2, 640},
                                    {"down_blocks.2", 2, 10, 1280},
                                    {"mid_block", 1, 10, 1280},
                                    {"up_blocks.0", 3, 10, 1280},
                                    {"up_blocks.1", 3, 2, 640}},
                                   2048));
}

// A published adapter of SD 1.5 (written by an older diffusers, which said lora.down and lora.up).
TEST(DataSdFullSize, NamesOfAPublishedAdapter) {
  const Path path = test::data() / "adapters/brain-mri-sd-lora/pytorch_lora_weights.safetensors";
  LORA_SKIP_WITHOUT(path);
  const auto file = SafetensorsFile::open(path);
  Shapes expected;
  for (const TensorView& view : file->tensors()) {
    std::string name = view.name;
    const std::size_t at = name.find(".lora.");
    ASSERT_NE(at, std::string::npos) << name;
    name.replace(at, std::string::npos,
                 name.ends_with(".down.weight") ? ".lora_A.weight" : ".lora_B.weight");
    expected[name] = view.shape;
  }
  EXPECT_EQ(shapes_in(adapter_bytes(SdKind::sd1, AdapterKind::sd15)), expected);
}

}  // namespace lora
