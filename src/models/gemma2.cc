// SPDX-License-Identifier: Apache-2.0
// Gemma 2 (arXiv 2408.00118): scaled embeddings, norms before and after each part that multiply by
// 1 + weight, soft caps, a window in every other layer.
#include "io/aten.h"
#include "models/families.h"
#include "models/self_attention.h"
#include "nn/projections.h"

namespace lora {
namespace {

struct Block {
  std::string path;  // "model.layers.0"
  at::Tensor input_norm, after_attention, before_mlp, after_mlp;
  SelfAttention attention;
  Layer gate, up, down;
};

Block load_block(Loader& loader, std::int64_t layer) {
  const HfConfig& config = loader.config();
  const std::string path = "model.layers." + std::to_string(layer);
  const auto norm = [&](const char* name) { return loader.tensor(path + name, {config.hidden}); };
  return {.path = path,
          .input_norm = norm(".input_layernorm.weight"),
          .after_attention = norm(".post_attention_layernorm.weight"),
          .before_mlp = norm(".pre_feedforward_layernorm.weight"),
          .after_mlp = norm(".post_feedforward_layernorm.weight"),
          .attention = SelfAttention::load(loader, path + ".self_attn"),
          .gate = loader.linear(path + ".mlp.gate_proj", config.hidden, config.intermediate),
          .up = loader.linear(path + ".mlp.up_proj", config.hidden, config.intermediate),
          .down = loader.linear(path + ".mlp.down_proj", config.intermediate, config.hidden)};
}

class Gemma2 : public Decoder {
 public:
  explicit Gemma2(Loader& loader) : Decoder(loader.config()) {
    const auto ends = loader.ends("model.embed_tokens.weight", "lm_head.weight");
    embedding_ = ends.embedding;
    head_ = ends.head;
    for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
      blocks_.push_back(load_block(loader, layer));
    }
    norm_ = loader.tensor("model.norm.weight", {config_.hidden});
    // Rounded to the compute dtype, as the reference does (55.4256 becomes 55.5 in bfloat16).
    scale_ = at::scalar_tensor(config_.embedding_scale, norm_.options());
    parameters_ = loader.parameters();
    embedding_parameters_ = embedding_.numel();
  }

 protected:
  at::Tensor embed(const at::Tensor& ids, const at::Tensor&) const override {
    return at::embedding(embedding_, ids) * scale_;
  }

  at::Tensor block(std::size_t layer, const at::Tensor& x, const Step& step) const override {
    const Block& inside = blocks_[layer];
    const at::Tensor mixed =
        inside.attention.forward(norm(x, inside.input_norm), config_, layer, step);
    const at::Tensor attended = inside.attention.o.forward(needed_rows(mixed, step));
    const at::Tensor y = needed_rows(x, step) + norm(attended, inside.after_attention);
    const at::Tensor fed = gated_mlp(inside.gate, inside.up, inside.down,
                                     norm(y, inside.before_mlp), config_.activation);
    return y + norm(fed, inside.after_mlp);
  }

  at::Tensor final_norm(const at::Tensor& x) const override { return norm(x, norm_); }

  void visit_block(std::size_t layer, const LayerVisitor& visit) override {
    Block& inside = blocks_[layer];
    inside.attention.for_each_layer(inside.path + ".self_attn", visit);
    visit(inside.path + ".mlp.gate_proj", inside.gate);
    visit(inside.path + ".mlp.up_proj", inside.up);
    visit(inside.path + ".mlp.down_proj", inside.down);
  }

 private:
  at::Tensor norm(const at::Tensor& x, const at::Tensor& weight) const {
    return rms_norm(x, weight, config_.norm_eps, /*offset=*/1);
  }

  at::Tensor embedding_, norm_, scale_;
  std::vector<Block> blocks_;
};

}  // namespace

std::unique_ptr<CausalLM> load_gemma2(Loader& loader) { return std::make_unique<Gemma2>(loader); }

}  // namespace lora
