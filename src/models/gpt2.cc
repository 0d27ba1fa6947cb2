// SPDX-License-Identifier: Apache-2.0
// GPT-2: learned positions, LayerNorm, Conv1D layers, tied head. Files name the tensors with or
// without "transformer."; module paths, and so adapters, always have it.
#include <cmath>

#include "base/error.h"
#include "io/aten.h"
#include "models/decoder.h"
#include "models/families.h"

namespace lora {
namespace {

struct Block {
  std::string path;  // "transformer.h.0"
  Norm first, second;
  Layer qkv, output, fc, projection;
};

Block load_block(const HfConfig& config, Modules& modules, const std::string& prefix,
                 std::int64_t layer) {
  const std::string name = "h." + std::to_string(layer), path = prefix + name;
  const std::int64_t hidden = config.hidden, inner = config.intermediate;
  return {.path = "transformer." + name,
          .first = modules.norm(path + ".ln_1", hidden, config.norm_eps),
          .second = modules.norm(path + ".ln_2", hidden, config.norm_eps),
          .qkv = modules.conv1d(path + ".attn.c_attn", hidden, 3 * hidden),
          .output = modules.conv1d(path + ".attn.c_proj", hidden, hidden),
          .fc = modules.conv1d(path + ".mlp.c_fc", hidden, inner),
          .projection = modules.conv1d(path + ".mlp.c_proj", inner, hidden)};
}

class Gpt2 : public Decoder {
 public:
  Gpt2(const HfConfig& config, Modules& modules, const std::string& prefix)
      : Decoder(config, modules, prefix + "wte.weight", "lm_head.weight") {
    positions_ = modules.tensor(prefix + "wpe.weight", {config_.max_positions, config_.hidden});
    for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
      blocks_.push_back(load_block(config, modules, prefix, layer));
    }
    norm_ = modules.norm(prefix + "ln_f", config.hidden, config.norm_eps);
    parameters_ = modules.parameters();
    embedding_parameters_ += positions_.numel();
  }

 protected:
  at::Tensor embed(const at::Tensor& ids, const at::Tensor& positions) const override {
    return at::embedding(embedding_, ids) + at::embedding(positions_, positions);
  }

  at::Tensor block(std::size_t layer, const at::Tensor& x, const Step& step) const override {
    const Block& inside = blocks_[layer];
    const auto parts = inside.qkv.forward(norm(x, inside.first))
                           .unflatten(-1, {3, config_.heads, config_.head_dim})
                           .unbind(2);
    const at::Tensor mixed = attend(config_, layer, step, parts[0], parts[1], parts[2]).flatten(2);
    const at::Tensor y = needed_rows(x, step) + inside.output.forward(needed_rows(mixed, step));
    const at::Tensor wide = activate(inside.fc.forward(norm(y, inside.second)), config_.activation);
    return y + inside.projection.forward(wide);
  }

  at::Tensor final_norm(const at::Tensor& x) const override { return norm(x, norm_); }

  void visit_block(std::size_t layer, const LayerVisitor& visit) override {
    Block& inside = blocks_[layer];
    visit(inside.path + ".attn.c_attn", inside.qkv);
    visit(inside.path + ".attn.c_proj", inside.output);
    visit(inside.path + ".mlp.c_fc", inside.fc);
    visit(inside.path + ".mlp.c_proj", inside.projection);
  }

 private:
  at::Tensor norm(const at::Tensor& x, const Norm& parts) const {
    return at::layer_norm(x, {config_.hidden}, parts.weight, parts.bias, parts.eps);
  }

  at::Tensor positions_;
  std::vector<Block> blocks_;
  Norm norm_;
};

void read_attention_scales(const ConfigKeys& keys, HfConfig& config) {
  const double scale = keys.flag("scale_attn_weights", true)
                           ? 1 / std::sqrt(static_cast<double>(config.head_dim))
                           : 1;
  const bool by_layer = keys.flag("scale_attn_by_inverse_layer_idx", false);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    config.attention_scales.push_back(by_layer ? scale / static_cast<double>(layer + 1) : scale);
  }
}

}  // namespace

void read_gpt2(const ConfigKeys& keys, HfConfig& config) {
  config.hidden = keys.count("n_embd");
  config.layers = layers_of(keys, "n_layer");
  config.heads = config.kv_heads = keys.count("n_head");
  config.max_positions = keys.count("n_positions", keys.count("n_ctx", 1024));
  config.learned_positions = true;
  config.intermediate = keys.count("n_inner", 4 * config.hidden);
  config.norm_eps = keys.positive("layer_norm_epsilon", 1e-5);
  read_activation(keys, "activation_function", "gelu_new", config);
  if (config.hidden % config.heads != 0) {
    fail(config.where, ": 'n_embd' is not a multiple of 'n_head' (found ", config.hidden, " and ",
         config.heads, "); damaged config.json?");
  }
  config.head_dim = config.hidden / config.heads;
  config.windows.assign(static_cast<std::size_t>(config.layers), 0);
  read_attention_scales(keys, config);
}

// Causal masks, in older files.
bool gpt2_ignores(std::string_view tensor) {
  return tensor.ends_with(".attn.bias") || tensor.ends_with(".attn.masked_bias");
}

std::unique_ptr<CausalLM> load_gpt2(const HfConfig& config, Modules& modules) {
  const bool named = modules.has("transformer.wte.weight");
  return std::make_unique<Gpt2>(config, modules, named ? "transformer." : "");
}

}  // namespace lora
