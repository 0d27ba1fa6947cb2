// SPDX-License-Identifier: Apache-2.0
// LLaMA (arXiv 2302.13971) and the families that differ from it in a flag: mistral (window),
// qwen2 (biases of q, k, v), qwen3 (norms of q and k per head).
#include "io/aten.h"
#include "models/families.h"
#include "models/self_attention.h"
#include "nn/projections.h"

namespace lora {
namespace {

struct Block {
  std::string path;  // "model.layers.0"
  at::Tensor input_norm, post_norm;
  SelfAttention attention;
  Layer gate, up, down;
};

Block load_block(Loader& loader, std::int64_t layer) {
  const HfConfig& config = loader.config();
  const std::string path = "model.layers." + std::to_string(layer);
  const bool bias = config.mlp_bias;
  return {.path = path,
          .input_norm = loader.tensor(path + ".input_layernorm.weight", {config.hidden}),
          .post_norm = loader.tensor(path + ".post_attention_layernorm.weight", {config.hidden}),
          .attention = SelfAttention::load(loader, path + ".self_attn"),
          .gate = loader.linear(path + ".mlp.gate_proj", config.hidden, config.intermediate, bias),
          .up = loader.linear(path + ".mlp.up_proj", config.hidden, config.intermediate, bias),
          .down = loader.linear(path + ".mlp.down_proj", config.intermediate, config.hidden, bias)};
}

class Llama : public Decoder {
 public:
  explicit Llama(Loader& loader) : Decoder(loader.config()) {
    const auto ends = loader.ends("model.embed_tokens.weight", "lm_head.weight");
    embedding_ = ends.embedding;
    head_ = ends.head;
    for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
      blocks_.push_back(load_block(loader, layer));
    }
    norm_ = loader.tensor("model.norm.weight", {config_.hidden});
    parameters_ = loader.parameters();
    embedding_parameters_ = embedding_.numel();
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
    return y + gated_mlp(inside.gate, inside.up, inside.down, normed, config_.activation);
  }

  at::Tensor final_norm(const at::Tensor& x) const override {
    return rms_norm(x, norm_, config_.norm_eps);
  }

  void visit_block(std::size_t layer, const LayerVisitor& visit) override {
    Block& inside = blocks_[layer];
    inside.attention.for_each_layer(inside.path + ".self_attn", visit);
    visit(inside.path + ".mlp.gate_proj", inside.gate);
    visit(inside.path + ".mlp.up_proj", inside.up);
    visit(inside.path + ".mlp.down_proj", inside.down);
  }

 private:
  at::Tensor embedding_, norm_;
  std::vector<Block> blocks_;
};

}  // namespace

std::unique_ptr<CausalLM> load_llama(Loader& loader) { return std::make_unique<Llama>(loader); }

}  // namespace lora
