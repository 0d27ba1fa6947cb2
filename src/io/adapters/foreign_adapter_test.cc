// SPDX-License-Identifier: Apache-2.0
// Adapters of other programs: their names, their kinds, their configurations; and ours for them.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "io/adapters/adapter_writer.h"
#include "io/adapters/bundled.h"
#include "io/adapters/match.h"
#include "io/adapters/target_names.h"
#include "io/aten.h"

namespace lora {
namespace {

using nlohmann::json;

const std::string kQ = "model.layers.0.self_attn.q_proj";
const std::string kPeft = "base_model.model.";

Path written(const TensorMap& tensors, const std::string& config) {
  const Path folder = std::filesystem::temp_directory_path() / "lora-foreign-adapter";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  write_tensors(folder / "adapter_model.safetensors", tensors);
  if (!config.empty()) write_file_atomic(folder / "adapter_config.json", config);
  return folder;
}

std::string message_of(const std::function<void()>& call, const Path& folder) {
  try {
    call();
  } catch (const Error& error) {
    std::string text = error.what();
    if (text.starts_with(folder.string())) text.replace(0, folder.string().size(), "@");
    return text;
  }
  return "no error";
}

// A configuration with `more` in it.
std::string config(const json& more = json::object()) {
  json all = {{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 4}};
  all.update(more);
  return all.dump();
}

TensorMap pair(const std::string& down, const std::string& up) {
  return {{down, at::ones({2, 8})}, {up, at::ones({8, 2})}};
}
TensorMap pair(const std::string& path) {
  return pair(kPeft + path + ".lora_A.weight", kPeft + path + ".lora_B.weight");
}

TEST(ForeignAdapters, KeysAreReadWithWhatStandsAroundThem) {
  const std::string a = ".lora_A.weight", b = ".lora_B.weight";
  const struct {
    std::string name, head, a, b, path = kQ;
  } rows[] = {
      {"PEFT", kPeft + kQ, a, b},
      {"DistributedDataParallel", "module." + kPeft + kQ, a, b},
      {"wrapped twice", "module.module." + kPeft + kQ, a, b},
      {"torch.compile", kPeft + "_orig_mod." + kQ, a, b},
      {"torch.compile in front", "_orig_mod." + kPeft + kQ, a, b},
      {"FSDP", kPeft + "model._fsdp_wrapped_module.layers.0._fsdp_wrapped_module.self_attn.q_proj",
       a, b},
      {"activation checkpoints",
       kPeft + "model.layers.0._checkpoint_wrapped_module.self_attn.q_proj", a, b},
      {"PEFT in PEFT", kPeft + kPeft + kQ, a, b},
      {"no prefix", kQ, a, b},
      {"no head", kPeft + "layers.0.self_attn.q_proj", a, b},
      {"neither", "layers.0.self_attn.q_proj", a, b},
      {"a class around the model", kPeft + "model." + kQ, a, b},
      {"default", kPeft + kQ, ".lora_A.default.weight", ".lora_B.default.weight"},
      {"a name", kPeft + kQ, ".lora_A.sft.weight", ".lora_B.sft.weight"},
      {"pictures and text", kPeft + "model.language_model.layers.0.self_attn.q_proj", a, b},
      {"the same, older", kPeft + "language_model.model.layers.0.self_attn.q_proj", a, b},
      {"SmolVLM", kPeft + "model.text_model.layers.0.self_attn.q_proj", a, b},
      {"GPT-2", kPeft + "transformer.h.0.attn.c_attn", a, b, "transformer.h.0.attn.c_attn"},
      {"GPT-2 without a head", "h.0.attn.c_attn", a, b, "transformer.h.0.attn.c_attn"},
      {"UNet", "_orig_mod.unet.mid_block.attentions.0.proj_in", a, b,
       "unet.mid_block.attentions.0.proj_in"},
      {"UNet, a name", "unet.mid_block.attentions.0.proj_in", ".lora_A.x.weight",
       ".lora_B.x.weight", "unet.mid_block.attentions.0.proj_in"},
  };
  for (const auto& row : rows) {
    const Path folder = written(pair(row.head + row.a, row.head + row.b), config());
    std::string path;
    const std::string error =
        message_of([&] { path = read_adapter(folder).modules.at(0).path; }, folder);
    EXPECT_EQ(path, row.path) << row.name << ": " << error;
  }
}

TEST(ForeignAdapters, MagnitudesHaveNamesToo) {
  for (const char* end : {"", ".weight", ".default", ".default.weight"}) {
    TensorMap tensors = pair(kQ);
    tensors[kPeft + kQ + ".lora_magnitude_vector" + end] = at::ones({8});
    const AdapterFile adapter = read_adapter(written(tensors, config({{"use_dora", true}})));
    EXPECT_TRUE(adapter.modules.at(0).magnitude.defined()) << end;
  }
}

TEST(ForeignAdapters, TwoAdaptersInOneFileAreNotMixed) {
  TensorMap tensors = pair(kPeft + kQ + ".lora_A.a.weight", kPeft + kQ + ".lora_B.a.weight");
  tensors.merge(pair(kPeft + kQ + ".lora_A.b.weight", kPeft + kQ + ".lora_B.b.weight"));
  const Path folder = written(tensors, config());
  EXPECT_EQ(message_of([&] { read_adapter(folder); }, folder),
            "@/adapter_model.safetensors: module '" + kQ + "' has this tensor twice (found '" +
                kPeft + kQ + ".lora_A.b.weight' and '" + kPeft + kQ +
                ".lora_A.a.weight'); keep one of the two in the file");
}

TEST(ForeignAdapters, ComfyUiNames) {
  const std::string unet = "diffusion_model.", block = ".transformer_blocks.0.attn1.to_q";
  const std::string layer = "text_model.encoder.layers.0.mlp.fc1";
  const struct {
    std::string head, path;
  } rows[] = {
      {unet + "input_blocks.1.1" + block, "unet.down_blocks.0.attentions.0" + block},
      {unet + "middle_block.1" + block, "unet.mid_block.attentions.0" + block},
      {unet + "output_blocks.3.1" + block, "unet.up_blocks.1.attentions.0" + block},
      {unet + "down_blocks.0.attentions.0" + block, "unet.down_blocks.0.attentions.0" + block},
      {unet + "time_embed.0", "unet.time_embedding.linear_1"},
      {"text_encoders.clip_l.transformer." + layer, "text_encoder." + layer},
      {"text_encoders.clip_h.transformer." + layer, "text_encoder." + layer},
      {"clip_g.transformer." + layer, "text_encoder_2." + layer},
  };
  for (const auto& row : rows) {
    for (const auto& [down, up] : {std::pair(".lora_down.weight", ".lora_up.weight"),
                                   std::pair(".lora_A.weight", ".lora_B.weight")}) {
      TensorMap tensors = pair(row.head + down, row.head + up);
      tensors[row.head + ".alpha"] = at::full({}, 1.0);
      const AdapterFile adapter = read_adapter(written(tensors, ""));
      EXPECT_EQ(adapter.dialect, "comfyui");
      EXPECT_EQ(adapter.modules.at(0).path, row.path);
      EXPECT_EQ(adapter.modules.at(0).scale, 0.5);
    }
  }
  for (const char* name : {"double_blocks.0.img_attn.qkv", "input_blocks.99999999999.1.proj_in"}) {
    const std::string head = unet + name;
    const Path folder = written(pair(head + ".lora_A.weight", head + ".lora_B.weight"), "");
    const std::string error = message_of([&] { read_adapter(folder); }, folder);
    EXPECT_NE(error.find("a LoRA tensor of a dialect or model that is not known"),
              std::string::npos)
        << error;
  }
}

// The configuration tells the kind before the tensors are looked at.
TEST(ForeignAdapters, OtherKindsAreNamed) {
  const std::string head = kPeft + kQ;
  const struct {
    std::string type, tensor, without;
  } rows[] = {{"BOFT", ".boft_R", "BOFT"},
              {"FOURIERFT", ".fourierft_spectrum", "FourierFT"},
              {"HRA", ".hra_u", "HRA"},
              {"SHIRA", ".shira_weight", "SHiRA"},
              {"MISS", ".miss_block", "MiSS"},
              {"BONE", ".bone_block", "Bone"},
              {"C3A", ".c3a_kernel", "C3A"},
              {"VBLORA", ".vblora_logits_A", "VBLoRA"},
              {"RANDLORA", ".randlora_lambda", "RandLoRA"},
              {"ADALORA", ".lora_E", "AdaLoRA"},
              {"OFT", ".oft_R", "OFT"},
              {"IA3", ".ia3_l", "IA3"},
              {"LOHA", ".hada_w1_a", "LoHa"}};
  for (const auto& row : rows) {
    const TensorMap tensors = {{head + row.tensor, at::ones({4, 4})}};
    const Path folder = written(tensors, json{{"peft_type", row.type}}.dump());
    EXPECT_EQ(message_of([&] { read_adapter(folder); }, folder),
              "@/adapter_config.json: peft_type is " + row.type +
                  ", expected LORA; only LoRA adapters can be used here");
    const Path bare = written(tensors, "");
    EXPECT_EQ(message_of([&] { read_adapter(bare); }, bare),
              "@/adapter_model.safetensors: tensor '" + head + row.tensor + "' belongs to " +
                  row.without + " (expected LoRA); only LoRA and DoRA adapters can be used here");
  }
}

TEST(ForeignAdapters, FieldsThatMakeMoreThanALoraAreRefused) {
  const struct {
    const char* field;
    json value;
    const char* why;
  } rows[] = {
      {"alora_invocation_tokens", {7}, "an activated LoRA acts only behind these tokens"},
      {"layer_replication", {{0, 2}, {1, 2}},
       "it belongs to a base model whose layers are repeated"},
      {"arrow_config", {{"top_k", 3}}, "it routes between several adapters"},
      {"target_parameters", {"experts"}, "it adapts parameters that are no layers"},
      {"use_qalora", true, "it takes its input in groups"},
      {"lora_bias", true, "it adds a bias"},
  };
  for (const auto& row : rows) {
    const Path folder = written(pair(kQ), config({{row.field, row.value}}));
    EXPECT_EQ(message_of([&] { read_adapter(folder); }, folder),
              join("@/adapter_config.json: ", row.field, " is set: ", row.why,
                   ", which this program does not compute; use the adapter with PEFT"));
    for (const json& unset : {json(), json(false), json::array(), json::object()}) {
      const Path plain = written(pair(kQ), config({{row.field, unset}}));
      EXPECT_EQ(message_of([&] { read_adapter(plain); }, plain), "no error") << row.field;
    }
  }
}

TEST(ForeignAdapters, BundledEmbeddingsAreLeftAside) {
  const std::string name = "unet.mid_block.attentions.0.proj_in";
  TensorMap tensors = pair(name + ".lora_A.weight", name + ".lora_B.weight");
  tensors["bundle_emb.my_lora_word.clip_l"] = at::ones({1, 8});
  const Path folder = written(tensors, "");
  const AdapterFile adapter = read_adapter(folder);
  EXPECT_EQ(adapter.others.size(), 1u);
  const std::vector<LayerShape> layers = {{name, {8, 8}, true}};
  const AdapterMatch match = match_adapter(adapter, layers);
  require_complete(match, adapter, layers);
  EXPECT_EQ(message_of([&] { fail(left_aside(adapter)); }, folder),
            "@/adapter_model.safetensors: holds embeddings beside the LoRA "
            "(bundle_emb.my_lora_word.clip_l); they are left aside, their words mean nothing here");
}

TEST(TargetNames, AreTheShortestThatMeanJustTheseModules) {
  std::vector<std::string> llama, gpt;
  for (int i = 0; i < 3; ++i) {
    for (const char* name : {"self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj"}) {
      llama.push_back(join("model.layers.", i, ".", name));
    }
    for (const char* name : {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"}) {
      gpt.push_back(join("transformer.h.", i, ".", name));
    }
  }
  const auto some = [](const std::vector<std::string>& all, const std::string& part) {
    std::vector<std::string> chosen;
    for (const std::string& path : all) {
      if (path.find(part) != std::string::npos) chosen.push_back(path);
    }
    return chosen;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(exact_targets(llama, llama), (Names{"q_proj", "up_proj", "v_proj"}));
  EXPECT_EQ(exact_targets(some(llama, "q_proj"), llama), (Names{"q_proj"}));
  EXPECT_EQ(exact_targets(some(llama, "layers.1.self"), llama),
            (Names{"layers.1.self_attn.q_proj", "layers.1.self_attn.v_proj"}));
  EXPECT_EQ(exact_targets(some(gpt, "attn"), gpt), (Names{"attn.c_proj", "c_attn"}));
  EXPECT_EQ(exact_targets(gpt, gpt), (Names{"c_attn", "c_fc", "c_proj"}));
  EXPECT_EQ(exact_targets({"lm_head"}, {"lm_head", "model.lm_head"}), (Names{"lm_head"}));
}

TEST(TargetNames, AreThoseOfPeftWhereItsListSaysAll) {
  const json lists = {"q_proj"};
  const struct {
    const char* name;
    json more, expected;
  } rows[] = {
      {"a list", {{"target_modules", lists}}, lists},
      {"a regular expression", {{"target_modules", ".*0.*q_proj"}}, {kQ}},
      {"every linear layer", {{"target_modules", "all-linear"}}, {kQ}},
      {"another list", {{"target_modules", {"v_proj"}}}, {kQ}},
      {"some layers", {{"target_modules", lists}, {"layers_to_transform", {0}}}, {kQ}},
      {"one layer", {{"target_modules", lists}, {"layers_to_transform", 0}}, {kQ}},
      {"excluded", {{"target_modules", lists}, {"exclude_modules", {"layers.1"}}}, {kQ}},
      {"a pattern", {{"target_modules", lists}, {"layers_pattern", "layers"}}, {kQ}},
      {"unset", {{"target_modules", lists}, {"exclude_modules", json()}}, lists},
  };
  for (const auto& row : rows) {
    const AdapterFile adapter = read_adapter(written(pair(kQ), config(row.more)));
    EXPECT_EQ(json::parse(encode_peft(adapter).config).at("target_modules"), row.expected)
        << row.name;
  }
}

TEST(PeftConfig, HoldsNoFieldThatPeft010DoesNotKnow) {
  const std::set<std::string> known = {
      "alpha_pattern", "base_model_name_or_path", "bias",          "fan_in_fan_out",
      "inference_mode", "init_lora_weights",      "lora_alpha",    "lora_dropout",
      "peft_type",      "r",                      "rank_pattern",  "revision",
      "target_modules", "task_type",              "use_dora",      "use_rslora"};
  AdapterFile adapter = read_adapter(written(pair(kQ), config({{"target_modules", {"q_proj"}}})));
  EXPECT_EQ(encode_peft(adapter).config,
            "{\n  \"base_model_name_or_path\": null,\n  \"inference_mode\": true,\n"
            "  \"lora_alpha\": 4,\n  \"peft_type\": \"LORA\",\n  \"r\": 2,\n"
            "  \"target_modules\": [\n    \"q_proj\"\n  ],\n  \"task_type\": \"CAUSAL_LM\"\n}");
  adapter.use_rslora = adapter.use_dora = adapter.fan_in_fan_out = true;
  adapter.dropout = 0.1;
  adapter.modules.push_back(adapter.modules[0]);
  adapter.modules[1].path = "model.layers.1.self_attn.q_proj";
  adapter.modules[1].alpha = 8;
  const json full = json::parse(encode_peft(adapter).config);
  EXPECT_EQ(full.size(), 12u);
  for (const auto& [key, value] : full.items()) EXPECT_TRUE(known.contains(key)) << key;
}

TEST(KohyaFiles, ADoraDoesNotClaimAModuleWithoutMagnitudes) {
  const std::string name = "unet.mid_block.attentions.0.proj_in";
  TensorMap tensors = pair(name + ".lora_A.weight", name + ".lora_B.weight");
  const auto module = [&] {
    const Path out = std::filesystem::temp_directory_path() / "lora-foreign-kohya.safetensors";
    write_file_atomic(out, encode_kohya(read_adapter(written(tensors, "")), {.name = "x"}));
    return SafetensorsFile::open(out)->metadata();
  };
  EXPECT_EQ(module().at("ss_network_module"), "networks.lora");
  EXPECT_FALSE(module().contains("ss_network_args"));
  tensors[name + ".lora_magnitude_vector"] = at::ones({8});
  EXPECT_EQ(module().at("ss_network_module"), "lycoris.kohya");
  EXPECT_EQ(module().at("ss_network_args"), R"({"algo":"lora","dora_wd":"True"})");
}

}  // namespace
}  // namespace lora
