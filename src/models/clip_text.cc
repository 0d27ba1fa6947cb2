// SPDX-License-Identifier: Apache-2.0
#include "models/clip_text.h"

#include <cmath>

#include "base/error.h"
#include "io/aten.h"
#include "nn/checkpoint.h"
#include "nn/ops.h"

namespace lora {
namespace {

at::Tensor activate(const at::Tensor& x, const std::string& name) {
  if (name == "quick_gelu") return x * at::sigmoid(x * 1.702);
  return at::gelu(x, name == "gelu" ? "none" : "tanh");
}

}  // namespace

ClipText::ClipText(const ClipConfig& config, Modules& modules) : config_(config) {
  // transformers 5.6 and later write the names without the wrapper's prefix.
  const std::string probe = "text_model.embeddings.token_embedding.weight";
  const std::string root = modules.has(probe) ? "text_model." : "";
  const std::int64_t width = config.width;
  tokens_ = modules.tensor(root + "embeddings.token_embedding.weight", {config.vocabulary, width});
  positions_ =
      modules.tensor(root + "embeddings.position_embedding.weight", {config.positions, width});
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const std::string name = join(root, "encoder.layers.", i, ".");
    const std::string self = name + "self_attn.";
    blocks_.push_back({modules.norm(name + "layer_norm1", width, config.eps),
                       modules.norm(name + "layer_norm2", width, config.eps),
                       modules.linear(self + "q_proj", width, width),
                       modules.linear(self + "k_proj", width, width),
                       modules.linear(self + "v_proj", width, width),
                       modules.linear(self + "out_proj", width, width),
                       modules.linear(name + "mlp.fc1", width, config.inner),
                       modules.linear(name + "mlp.fc2", config.inner, width)});
  }
  final_norm_ = modules.norm(root + "final_layer_norm", width, config.eps);
  if (config.projection > 0) {
    projection_ = modules.linear("text_projection", width, config.projection, false);
  }
  parameters_ = modules.parameters();
}

at::Tensor ClipText::attend(const Block& block, const at::Tensor& x) const {
  const std::int64_t rows = x.size(0), length = x.size(1), heads = config_.heads;
  const std::int64_t head = config_.width / heads;
  const auto split = [&](const Layer& layer) {
    return layer.forward(x).view({rows, length, heads, head});
  };
  AttentionMask mask;
  mask.causal = true;
  const at::Tensor y = attention(split(block.q), split(block.k), split(block.v),
                                 1 / std::sqrt(static_cast<double>(head)), mask);
  return block.out.forward(y.reshape({rows, length, config_.width}));
}

at::Tensor ClipText::run(const Block& block, const at::Tensor& x) const {
  const at::Tensor middle = x + attend(block, block.norm1(x));
  const at::Tensor inner = activate(block.fc1.forward(block.norm2(middle)), config_.activation);
  return middle + block.fc2.forward(inner);
}

at::Tensor ClipText::layer(std::size_t index, const at::Tensor& x) const {
  return run(blocks_.at(index), x);
}

at::Tensor ClipText::run_again(const Block& block, const at::Tensor& x) const {
  std::vector<at::Tensor> learning;
  for (const Layer* layer : {&block.q, &block.k, &block.v, &block.out, &block.fc1, &block.fc2}) {
    append_trainable(layer->adapters, learning);
  }
  return checkpoint([this, &block](const at::Tensor& in) { return run(block, in); }, x, learning);
}

ClipOutput ClipText::forward(const at::Tensor& ids) const {
  if (ids.size(1) > config_.positions) {
    fail("text encoder: ", ids.size(1), " tokens, at most ", config_.positions,
         "; give longer prompts in chunks");
  }
  ClipOutput output;
  at::Tensor x = at::embedding(tokens_, ids) + positions_.slice(0, 0, ids.size(1));
  output.hidden.push_back(x);
  for (const Block& block : blocks_) {
    x = checkpointing_ ? run_again(block, x) : run(block, x);
    output.hidden.push_back(x);
  }
  output.last = final_norm_(x);
  output.pooled = pool(ids, output.last);
  return output;
}

at::Tensor ClipText::pool(const at::Tensor& ids, const at::Tensor& last) const {
  // argmax of a comparison: the first position of the end token (of the highest id, in old files).
  const at::Tensor place =
      config_.eos == 2 ? ids.argmax(1) : ids.eq(config_.eos).to(at::kInt).argmax(1);
  const at::Tensor rows = at::arange(ids.size(0), ids.options());
  const at::Tensor state = last.index({rows, place});
  return projection_.weight.defined() ? projection_.forward(state) : state;
}

void ClipText::for_each_layer(const std::string& prefix, const LayerVisitor& visit) {
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const std::string name = join(prefix, "text_model.encoder.layers.", i, ".");
    Block& block = blocks_[i];
    visit(name + "self_attn.k_proj", block.k);
    visit(name + "self_attn.v_proj", block.v);
    visit(name + "self_attn.q_proj", block.q);
    visit(name + "self_attn.out_proj", block.out);
    visit(name + "mlp.fc1", block.fc1);
    visit(name + "mlp.fc2", block.fc2);
  }
  if (projection_.weight.defined()) visit(prefix + "text_projection", projection_);
}

}  // namespace lora
