// SPDX-License-Identifier: Apache-2.0
// LLaMA (arXiv 2302.13971), which is also the model of the families that differ from it in a
// setting: windows (mistral.cc), biases of q, k, v or norms of q and k per head (qwen.cc).
#include "io/aten.h"
#include "models/decoder.h"
#include "models/families.h"
#include "models/gated_mlp.h"
#include "models/self_attention.h"
#include "nn/ops.h"

namespace lora {
namespace {

struct Block {
  at::Tensor input_norm, post_norm;
  SelfAttention attention;
  GatedMlp mlp;
};

Block load_block(const HfConfig& config, Modules& modules, std::int64_t layer) {
  const std::string path = "model.layers." + std::to_string(layer);
  return {.input_norm = modules.tensor(path + ".input_layernorm.weight", {config.hidden}),
          .post_norm = modules.tensor(path + ".post_attention_layernorm.weight", {config.hidden}),
          .attention = SelfAttention::load(config, modules, path + ".self_attn"),
          .mlp = GatedMlp::load(config, modules, path + ".mlp")};
}

class Llama : public Decoder {
 public:
  Llama(const HfConfig& config, Modules& modules)
      : Decoder(config, modules, "model.embed_tokens.weight", "lm_head.weight") {
    for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
      blocks_.push_back(load_block(config, modules, layer));
    }
    norm_ = modules.tensor("model.norm.weight", {config_.hidden});
    parameters_ = modules.parameters();
  }

 protected:
  at::Tensor embed(const at::Tensor& ids, const at::Tensor&) const override {
    return at::embedding(embedding_, ids);
  }

  at::Tensor block(std::size_t layer, const at::Tensor& x, const Step& step) const override {
    const Block& inside = blocks_[layer];
    const at::Tensor mixed = inside.attention.forward(
        rms_norm(x, inside.input_norm, config_.norm_eps), config_, layer, step);
    const auto [y, normed] =
        add_rms_norm(needed_rows(x, step), inside.attention.o.forward(needed_rows(mixed, step)),
                     inside.post_norm, config_.norm_eps);
    return y + inside.mlp.forward(normed, config_.activation);
  }

  at::Tensor final_norm(const at::Tensor& x) const override {
    return rms_norm(x, norm_, config_.norm_eps);
  }

  void visit_block(std::size_t layer, const LayerVisitor& visit) override {
    blocks_[layer].attention.for_each_layer(visit);
    blocks_[layer].mlp.for_each_layer(visit);
  }

 private:
  at::Tensor norm_;
  std::vector<Block> blocks_;
};

}  // namespace

void read_llama(const ConfigKeys& keys, HfConfig& config) {
  read_rotary(keys, {.max_positions = 2048}, config);
  read_attention_bias(keys, config);
  config.mlp_bias = keys.flag("mlp_bias", false);
  read_activation(keys, "hidden_act", "silu", config);
}

std::unique_ptr<CausalLM> load_llama(const HfConfig& config, Modules& modules) {
  return std::make_unique<Llama>(config, modules);
}

}  // namespace lora
