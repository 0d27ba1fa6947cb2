// SPDX-License-Identifier: Apache-2.0
#include "models/families.h"

namespace lora {

// What the rows name. Each is defined in the file of its family.
void read_llama(const ConfigKeys& keys, HfConfig& config);
void read_mistral(const ConfigKeys& keys, HfConfig& config);
void read_qwen2(const ConfigKeys& keys, HfConfig& config);
void read_qwen3(const ConfigKeys& keys, HfConfig& config);
void read_gemma2(const ConfigKeys& keys, HfConfig& config);
void read_gpt2(const ConfigKeys& keys, HfConfig& config);

std::unique_ptr<CausalLM> load_llama(const HfConfig& config, Modules& modules);
std::unique_ptr<CausalLM> load_gemma2(const HfConfig& config, Modules& modules);
std::unique_ptr<CausalLM> load_gpt2(const HfConfig& config, Modules& modules);

bool gpt2_ignores(std::string_view tensor);

namespace {

constexpr GgufName kRotaryNames[] = {
    {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"},  {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"}};

constexpr GgufName kGpt2Names[] = {{"attn.c_attn", "attn_qkv"},
                                   {"attn.c_proj", "attn_output"},
                                   {"mlp.c_fc", "ffn_up"},
                                   {"mlp.c_proj", "ffn_down"}};

constexpr std::string_view kLayers = "model.layers.";

constexpr Family kFamilies[] = {
    {.name = "llama",
     .architecture = "LlamaForCausalLM",
     .help = "LLaMA 1 to 3, TinyLlama and others of its shape",
     .default_targets = "q_proj,v_proj",
     .gguf = {"llama", kLayers, kRotaryNames, /*permutes=*/true},
     .read = read_llama,
     .load = load_llama},
    {.name = "mistral",
     .architecture = "MistralForCausalLM",
     .help = "Mistral 7B",
     .default_targets = "q_proj,v_proj",
     .gguf = {"llama", kLayers, kRotaryNames, /*permutes=*/true},
     .read = read_mistral,
     .load = load_llama},
    {.name = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .help = "Qwen 1.5, 2 and 2.5",
     .default_targets = "q_proj,v_proj",
     .gguf = {"qwen2", kLayers, kRotaryNames},
     .read = read_qwen2,
     .load = load_llama},
    {.name = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .help = "Qwen 3",
     .default_targets = "q_proj,v_proj",
     .gguf = {"qwen3", kLayers, kRotaryNames},
     .read = read_qwen3,
     .load = load_llama},
    {.name = "gemma2",
     .architecture = "Gemma2ForCausalLM",
     .help = "Gemma 2",
     .tied = true,
     .default_targets = "q_proj,v_proj",
     .gguf = {"gemma2", kLayers, kRotaryNames},
     .read = read_gemma2,
     .load = load_gemma2},
    {.name = "gpt2",
     .architecture = "GPT2LMHeadModel",
     .help = "GPT-2",
     .tied = true,
     .default_targets = "c_attn",
     .gguf = {"gpt2", "transformer.h.", kGpt2Names},
     .read = read_gpt2,
     .load = load_gpt2,
     .ignores = gpt2_ignores},
};

}  // namespace

std::span<const Family> families() { return kFamilies; }

}  // namespace lora
