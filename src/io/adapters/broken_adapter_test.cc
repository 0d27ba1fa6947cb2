// SPDX-License-Identifier: Apache-2.0
// Broken and foreign adapter files, each with its exact message.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "io/adapters/adapter_file.h"
#include "io/adapters/match.h"
#include "io/aten.h"
#include "tests/paths.h"

namespace lora {
namespace {

const std::string kQ = "base_model.model.model.layers.0.self_attn.q_proj";
const std::string kUnet = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k";
const std::string kFlat = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k";

struct Case {
  const char* name;
  std::string file;  // below the folder, which is @ in the message
  TensorMap tensors;
  std::string config;   // adapter_config.json, none if empty
  std::string message;  // exact
  Metadata metadata = {{"format", "pt"}};
};

at::Tensor zeros(std::initializer_list<std::int64_t> shape) { return at::zeros(shape); }

TensorMap pair(std::initializer_list<std::int64_t> a, std::initializer_list<std::int64_t> b) {
  return {{kQ + ".lora_A.weight", zeros(a)}, {kQ + ".lora_B.weight", zeros(b)}};
}

TensorMap unet_pair(std::int64_t width) {
  return {{kUnet + ".lora_A.weight", zeros({4, width})},
          {kUnet + ".lora_B.weight", zeros({20, 4})}};
}

TensorMap with(TensorMap map, const std::string& name, const at::Tensor& tensor) {
  map[name] = tensor;
  return map;
}

const std::string kConfig = R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8})";
const std::string kFile = "adapter_model.safetensors";
const std::string kModule = "@/adapter_model.safetensors: module 'model.layers.0.self_attn.q_proj'";

std::vector<Case> cases() {
  const TensorMap good = pair({4, 8}, {8, 4});
  return {
      {"half pair",
       kFile,
       {{kQ + ".lora_A.weight", zeros({4, 8})}},
       kConfig,
       kModule + ": its lora_B (up) tensor is missing (found only '" + kQ +
           ".lora_A.weight'); the file is incomplete, get it again"},
      {"half pair of kohya",
       kFile,
       {{kFlat + ".alpha", zeros({})}},
       "",
       "@/adapter_model.safetensors: module '" + kUnet +
           "': its lora_A (down) tensor is missing (found only '" + kFlat +
           ".alpha'); the file is incomplete, get it again"},
      {"ranks differ", kFile, pair({4, 8}, {8, 6}), kConfig,
       kModule + ": the two ranks differ (found down [4, 8], up [8, 6], expected [rank, in] and "
                 "[out, rank]); damaged file?"},
      {"not a matrix", kFile, pair({4, 8, 2}, {8, 4}), kConfig,
       kModule + ": not the shapes of a LoRA pair (found down [4, 8, 2], up [8, 4], expected "
                 "[rank, in] and [out, rank]); damaged file?"},
      {"integers", kFile, with(good, kQ + ".lora_A.weight", at::zeros({4, 8}, at::kInt)), kConfig,
       kModule + ": not the shapes of a LoRA pair (found down [4, 8], up [8, 4], expected "
                 "[rank, in] and [out, rank]); damaged file?"},
      {"NaN", kFile, with(good, kQ + ".lora_B.weight", at::full({8, 4}, NAN)), kConfig,
       kModule + " holds NaN or infinity; the training that wrote the file had failed, use an "
                 "earlier version"},
      {"configured rank", kFile, pair({8, 8}, {8, 8}), kConfig,
       "@/adapter_config.json: module 'model.layers.0.self_attn.q_proj': rank 4 is configured but "
       "its tensors have rank 8; configuration and weights do not belong together"},
      {"no configuration", kFile, good, "",
       "@/adapter_model.safetensors: lora_alpha is nowhere to be found (looked in "
       "adapter_config.json beside the file), so the strength of the adapter is not known; add "
       "\"lora_alpha\" to adapter_config.json"},
      {"no alpha", kFile, good, R"({"peft_type": "LORA", "r": 4})",
       "@/adapter_model.safetensors: lora_alpha is nowhere to be found (looked in "
       "adapter_config.json beside the file), so the strength of the adapter is not known; add "
       "\"lora_alpha\" to adapter_config.json"},
      {"configuration is no JSON", kFile, good, "r: 4",
       "@/adapter_config.json: this is not valid JSON (found an error at byte 1 of 4); mend the "
       "adapter's configuration"},
      {"rank is a text", kFile, good, R"({"r": "4", "lora_alpha": 8})",
       "@/adapter_config.json: 'r': found \"4\", expected a number above 0; mend the adapter's "
       "configuration"},
      {"pattern", kFile, good, R"({"r": 4, "lora_alpha": 8, "rank_pattern": {"q_proj(": 4}})",
       "@/adapter_config.json: 'rank_pattern': 'q_proj(' is not a regular expression (found "
       "missing "
       "closing parenthesis at character 8); mend the adapter's configuration"},
      {"another kind of PEFT", kFile, good, R"({"peft_type": "LOHA"})",
       "@/adapter_config.json: peft_type is LOHA, expected LORA; only LoRA adapters can be used "
       "here"},
      {"pissa", kFile, good, R"({"r": 4, "lora_alpha": 8, "init_lora_weights": "pissa_niter_4"})",
       "@/adapter_config.json: init_lora_weights is 'pissa_niter_4': this adapter belongs to a "
       "base model that PEFT changes while loading; save it with PEFT's "
       "path_initial_model_for_weight_conversion first"},
      {"DoRA without magnitudes", kFile, good, R"({"r": 4, "lora_alpha": 8, "use_dora": true})",
       "@/adapter_config.json: module 'model.layers.0.self_attn.q_proj': use_dora is configured "
       "but the DoRA magnitude is missing; configuration and weights do not belong together"},
      {"magnitude of another size", kFile, with(good, kQ + ".lora_magnitude_vector", zeros({5})),
       kConfig,
       kModule + ": the DoRA magnitude is not one number per output (found [5], expected [8]); "
                 "DoRA over input columns is not supported"},
      {"LoHa",
       kFile,
       {{kFlat + ".hada_w1_a", zeros({4, 4})}},
       "",
       "@/adapter_model.safetensors: tensor '" + kFlat +
           ".hada_w1_a' belongs to LoHa (expected LoRA); only LoRA and DoRA adapters can be used "
           "here"},
      {"Flux",
       kFile,
       {{"lora_unet_double_blocks_0_img_attn_proj.lora_up.weight", zeros({4, 4})}},
       "",
       "@/adapter_model.safetensors: tensor 'lora_unet_double_blocks_0_img_attn_proj.lora_up."
       "weight': a LoRA tensor of a dialect or model that is not known (known dialects: peft, "
       "diffusers-peft, diffusers, diffusers-linear-layer, diffusers-old, kohya, comfyui, "
       "cloneofsimo; known models: language models, Stable Diffusion 1.x, 2.x, XL); convert the "
       "file first"},
      {"a base model",
       kFile,
       {{"model.layers.0.mlp.up_proj.weight", zeros({4, 4})}},
       "",
       "@/adapter_model.safetensors: not a LoRA adapter (this is the weights of a language model, "
       "expected LoRA tensors); give the adapter's file"},
      {"a checkpoint",
       kFile,
       {{"model.diffusion_model.out.2.bias", zeros({4})}},
       "",
       "@/adapter_model.safetensors: not a LoRA adapter (this is a Stable Diffusion checkpoint, "
       "expected LoRA tensors); give the adapter's file"},
      {"twice", kFile,
       with(with(unet_pair(32), kUnet + ".lora.down.weight", zeros({4, 32})),
            kUnet + ".lora.up.weight", zeros({20, 4})),
       "",
       "@/adapter_model.safetensors: module '" + kUnet + "' has this tensor twice (found '" +
           kUnet + ".lora_A.weight' and '" + kUnet +
           ".lora.up.weight'); keep one of the two in the file"},
      {"alpha of two numbers",
       kFile,
       {{kFlat + ".lora_down.weight", zeros({4, 8})},
        {kFlat + ".lora_up.weight", zeros({8, 4})},
        {kFlat + ".alpha", zeros({2})}},
       "",
       "@/adapter_model.safetensors: module '" + kUnet +
           "': alpha is not one number (found shape [2]); damaged file?"},
      {"alpha 0",
       kFile,
       {{kFlat + ".lora_down.weight", zeros({4, 8})},
        {kFlat + ".lora_up.weight", zeros({8, 4})},
        {kFlat + ".alpha", zeros({})}},
       "",
       "@/adapter_model.safetensors: module '" + kUnet +
           "': alpha is 0, expected a number above 0; damaged file?"},
      {"alpha infinite",
       kFile,
       {{kFlat + ".lora_down.weight", zeros({4, 8})},
        {kFlat + ".lora_up.weight", zeros({8, 4})},
        {kFlat + ".alpha", at::full({}, INFINITY)}},
       "",
       "@/adapter_model.safetensors: module '" + kUnet +
           "': alpha is inf, expected a number above 0; damaged file?"},
      {"alpha below 0", kFile, good, R"({"r": 4, "lora_alpha": -4})",
       "@/adapter_config.json: 'lora_alpha': found -4, expected a number above 0; mend the "
       "adapter's configuration"},
      {"alpha of a pattern", kFile, good,
       R"({"r": 4, "lora_alpha": 4, "alpha_pattern": {"q": 0}})",
       "@/adapter_config.json: 'alpha_pattern.q': found 0, expected a number above 0; mend the "
       "adapter's configuration"},
      {"alpha too large", kFile, good, R"({"r": 4, "lora_alpha": 1e300})",
       "@/adapter_config.json: 'lora_alpha': found 1e+300, expected at most 1e+30; mend the "
       "adapter's configuration"},
      {"alpha beyond numbers", kFile, good, R"({"r": 4, "lora_alpha": 1e400})",
       "@/adapter_config.json: a number is too large (found one that 64 bits do not hold at byte "
       "29 of 29); mend the adapter's configuration"},
      {"dropout", kFile, good, R"({"r": 4, "lora_alpha": 4, "lora_dropout": 1})",
       "@/adapter_config.json: 'lora_dropout': found 1.0, expected at least 0 and below 1; mend "
       "the adapter's configuration"},
      {"cloneofsimo, too many",
       kFile,
       {{"unet:144:down", zeros({4, 8})}, {"unet:144:up", zeros({8, 4})}},
       "",
       "@/adapter_model.safetensors: tensor 'unet:144:down': Stable Diffusion 1.x has 144 such "
       "modules (found number 144); convert the file with the program it came from"},
      {"cloneofsimo, extended",
       kFile,
       {{"unet:0:down", zeros({4, 8})}, {"unet:0:up", zeros({8, 4})}},
       "",
       "@/adapter_model.safetensors: modules are only numbered, and their order is not known for "
       "target classes [\"ResnetBlock2D\"] (expected Attention, CrossAttention, GEGLU); convert "
       "the file with the program it came from",
       {{"unet", "[\"ResnetBlock2D\"]"}}},
  };
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string without_folder(std::string text, const Path& folder) {
  for (std::size_t at; (at = text.find(folder.string())) != std::string::npos;) {
    text.replace(at, folder.string().size(), "@");
  }
  return text;
}

Path empty_folder() {
  const Path folder = std::filesystem::temp_directory_path() / "lora-broken-adapter";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

TEST(BrokenAdapters, EachHasItsMessage) {
  for (const Case& broken : cases()) {
    const Path folder = empty_folder();
    write_tensors(folder / broken.file, broken.tensors, broken.metadata);
    if (!broken.config.empty()) write_file_atomic(folder / "adapter_config.json", broken.config);
    EXPECT_EQ(without_folder(message_of([&] { read_adapter(folder); }), folder), broken.message)
        << broken.name;
  }
}

TEST(BrokenAdapters, FoldersAndFilesThatAreNoAdapter) {
  const Path folder = empty_folder();
  const auto message = [&](const Path& path) {
    return without_folder(message_of([&] { read_adapter(path); }), folder);
  };
  EXPECT_EQ(message(folder / "nowhere"), "@/nowhere: no such file or folder; check the path");
  EXPECT_EQ(
      message(folder),
      "@: no adapter here (looked for adapter_model.safetensors and "
      "pytorch_lora_weights.safetensors, found no safetensors file); give the adapter's file");
  write_file_atomic(folder / "adapter_model.bin", "PK");
  EXPECT_EQ(message(folder),
            "@: holds only adapter_model.bin, a pickle, which can run code when loaded; convert it "
            "to safetensors with the program it came from");
  write_file_atomic(folder / "old.pt", std::string("PK\x03\x04") + "zip");
  EXPECT_EQ(message(folder / "old.pt"),
            "@/old.pt: this is a pickle (.ckpt, .bin, .pt), which can run code when loaded; "
            "convert it to .safetensors with the program it came from");
  write_file_atomic(folder / "a.gguf", "GGUF");
  EXPECT_EQ(message(folder / "a.gguf"),
            "@/a.gguf: GGUF adapters are for llama.cpp and cannot be loaded here; give the "
            "adapter_model.safetensors that it was made from");
  std::filesystem::remove(folder / "adapter_model.bin");
  write_tensors(folder / "model-1.safetensors", {{"x", zeros({1})}});
  write_tensors(folder / "model-2.safetensors", {{"x", zeros({1})}});
  write_file_atomic(folder / "config.json", "{}");
  EXPECT_EQ(message(folder),
            "@: this is the folder of a base model, not of an adapter; give the adapter's folder");
}

TEST(DataAdapters, LfsPointersAreNamed) {
  for (const char* name : {"lfs-pointer-gitcourse", "lfs-pointer-jurisqwen"}) {
    const Path folder = test::data() / "adapters" / name;
    LORA_SKIP_WITHOUT(folder);
    const std::string text = message_of([&] { read_adapter(folder); });
    EXPECT_NE(text.find("this is a Git LFS pointer, not weights"), std::string::npos) << text;
  }
}

TEST(AdapterMatch, BothWays) {
  const Path folder = empty_folder();
  write_tensors(folder / kFile,
                with(pair({4, 8}, {16, 4}), "base_model.model.score.weight", zeros({2, 8})));
  write_file_atomic(folder / "adapter_config.json", kConfig);
  const AdapterFile adapter = read_adapter(folder);
  const std::string q = "model.layers.0.self_attn.q_proj", v = "model.layers.0.self_attn.v_proj";
  const auto message = [&](const std::vector<LayerShape>& layers, bool ignore = false) {
    const AdapterMatch match = match_adapter(adapter, layers);
    return without_folder(message_of([&] { require_complete(match, adapter, layers, ignore); }),
                          folder);
  };
  const std::string file = "@/adapter_model.safetensors: ";
  EXPECT_EQ(message({{q, {16, 8}}}, true), "no error");
  EXPECT_EQ(summary(match_adapter(adapter, {{q, {16, 8}}}), adapter),
            "1 of 1 modules (2 tensors), rank 4, scale 2");
  EXPECT_EQ(message({{q, {16, 8}}}),
            file +
                "1 tensors are not LoRA (base_model.model.score.weight) and would be lost; "
                "continue with an adapter without them");
  EXPECT_EQ(message({{v, {16, 8}}}),
            file + "1 of 1 modules in the file have no place in this model (first: " + q +
                "); choose the adapter's own base model");
  EXPECT_EQ(message({{q, {16, 32}}}),
            file + "1 of 1 modules in the file have another shape than this model (first: " + q +
                ", found [16, 8], expected [16, 32]); choose the adapter's own base model");
  EXPECT_EQ(
      message({{q, {16, 8}, true}, {v, {16, 8}, true}}),
      file + "1 modules of this model that target_modules names are not in the file (first: " + v +
          "); use the target_modules that the adapter was trained with");
  EXPECT_EQ(message({{"unet.conv_in", {4, 4, 3, 3}}}),
            file +
                "this adapter is for a language model, the base is Stable Diffusion; choose "
                "the adapter's own base model");
}

TEST(DataAdapters, Sd2AdapterIsRefusedOnSd15) {
  const Path path = test::data() / "adapters/vfph55-my_lora";
  LORA_SKIP_WITHOUT(path);
  const AdapterFile adapter = read_adapter(path);
  const AdapterFile sd15 = read_adapter(test::data() / "adapters/brain-mri-sd-lora");
  std::vector<LayerShape> layers;
  for (const AdapterModule& module : sd15.modules) {
    layers.push_back({module.path, module.weight_shape()});
  }
  const AdapterMatch match = match_adapter(adapter, layers);
  const std::string text = message_of([&] { require_complete(match, adapter, layers); });
  EXPECT_NE(
      text.find("this adapter is for Stable Diffusion 2 (cross attention 1024 wide), the base "
                "is Stable Diffusion 1.5 (768); choose the adapter's own base model"),
      std::string::npos)
      << text;
  EXPECT_TRUE(match_adapter(sd15, layers).complete());
}

}  // namespace
}  // namespace lora
