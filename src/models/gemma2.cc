// SPDX-License-Identifier: Apache-2.0
// Gemma 2 (arXiv 2408.00118): scaled embeddings, norms before and after each part that multiply by
// 1 + weight, soft caps, a window in every other layer.
#include <cmath>

#include "io/aten.h"
#include "models/decoder.h"
#include "models/families.h"
#include "models/gated_mlp.h"
#include "models/self_attention.h"
#include "nn/ops.h"

namespace lora {
namespace {

struct Block {
  at::Tensor input_norm, after_attention, before_mlp, after_mlp;
  SelfAttention attention;
  GatedMlp mlp;
};

Block load_block(const HfConfig& config, Modules& modules, std::int64_t layer) {
  const std::string path = "model.layers." + std::to_string(layer);
  const auto norm = [&](const char* name) { return modules.tensor(path + name, {config.hidden}); };
  return {.input_norm = norm(".input_layernorm.weight"),
          .after_attention = norm(".post_attention_layernorm.weight"),
          .before_mlp = norm(".pre_feedforward_layernorm.weight"),
          .after_mlp = norm(".post_feedforward_layernorm.weight"),
          .attention = SelfAttention::load(config, modules, path + ".self_attn"),
          .mlp = GatedMlp::load(config, modules, path + ".mlp")};
}

class Gemma2 : public Decoder {
 public:
  Gemma2(const HfConfig& config, Modules& modules)
      : Decoder(config, modules, "model.embed_tokens.weight", "lm_head.weight") {
    for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
      blocks_.push_back(load_block(config, modules, layer));
    }
    norm_ = modules.tensor("model.norm.weight", {config_.hidden});
    // Rounded to the compute dtype, as the reference does (55.4256 becomes 55.5 in bfloat16).
    scale_ = at::scalar_tensor(config_.embedding_scale, norm_.options());
    parameters_ = modules.parameters();
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
    const at::Tensor fed = inside.mlp.forward(norm(y, inside.before_mlp), config_.activation);
    return y + norm(fed, inside.after_mlp);
  }

  at::Tensor final_norm(const at::Tensor& x) const override { return norm(x, norm_); }

  void visit_block(std::size_t layer, const LayerVisitor& visit) override {
    blocks_[layer].attention.for_each_layer(visit);
    blocks_[layer].mlp.for_each_layer(visit);
  }

 private:
  at::Tensor norm(const at::Tensor& x, const at::Tensor& weight) const {
    return rms_norm(x, weight, config_.norm_eps, /*offset=*/1);
  }

  at::Tensor norm_, scale_;
  std::vector<Block> blocks_;
};

// A cap that is null is off; one that is absent has the default.
double read_softcap(const ConfigKeys& keys, const char* key, double otherwise) {
  return is_null(keys, key) ? 0 : keys.positive(key, otherwise);
}

}  // namespace

void read_gemma2(const ConfigKeys& keys, HfConfig& config) {
  read_rotary(keys, {.kv_heads = 4, .head_dim = 256, .max_positions = 8192}, config);
  read_windows(
      keys, 4096, [](std::int64_t layer) { return layer % 2 == 0; }, config);
  read_attention_bias(keys, config);
  // Files carry hidden_act too, which transformers does not read.
  read_activation(keys, "hidden_activation", "gelu_pytorch_tanh", config);
  const double scalar = keys.positive("query_pre_attn_scalar", 256.0);
  config.attention_scales.assign(config.attention_scales.size(), 1 / std::sqrt(scalar));
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden));
  config.attention_softcap = read_softcap(keys, "attn_logit_softcapping", 50);
  config.final_softcap = read_softcap(keys, "final_logit_softcapping", 30);
}

std::unique_ptr<CausalLM> load_gemma2(const HfConfig& config, Modules& modules) {
  return std::make_unique<Gemma2>(config, modules);
}

}  // namespace lora
