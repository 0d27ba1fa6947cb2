// SPDX-License-Identifier: Apache-2.0
// GPT-2: learned positions, LayerNorm, Conv1D layers, tied head. Files name the tensors with or
// without "transformer."; module paths, and so adapters, always have it.
#include "io/aten.h"
#include "models/families.h"

namespace lora {
namespace {

struct Norm {
  at::Tensor weight, bias;
};

struct Block {
  std::string path;  // "transformer.h.0"
  Norm first, second;
  Layer qkv, output, fc, projection;
};

Norm load_norm(Loader& loader, const std::string& path) {
  const std::int64_t hidden = loader.config().hidden;
  return {loader.tensor(path + ".weight", {hidden}), loader.tensor(path + ".bias", {hidden})};
}

Block load_block(Loader& loader, const std::string& prefix, std::int64_t layer) {
  const HfConfig& config = loader.config();
  const std::string name = "h." + std::to_string(layer), path = prefix + name;
  const std::int64_t hidden = config.hidden, inner = config.intermediate;
  return {.path = "transformer." + name,
          .first = load_norm(loader, path + ".ln_1"),
          .second = load_norm(loader, path + ".ln_2"),
          .qkv = loader.conv1d(path + ".attn.c_attn", hidden, 3 * hidden),
          .output = loader.conv1d(path + ".attn.c_proj", hidden, hidden),
          .fc = loader.conv1d(path + ".mlp.c_fc", hidden, inner),
          .projection = loader.conv1d(path + ".mlp.c_proj", inner, hidden)};
}

class Gpt2 : public Decoder {
 public:
  explicit Gpt2(Loader& loader) : Decoder(loader.config()) {
    const std::string prefix = loader.has("transformer.wte.weight") ? "transformer." : "";
    const auto ends = loader.ends(prefix + "wte.weight", "lm_head.weight");
    embedding_ = ends.embedding;
    head_ = ends.head;
    positions_ = loader.tensor(prefix + "wpe.weight", {config_.max_positions, config_.hidden});
    for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
      blocks_.push_back(load_block(loader, prefix, layer));
    }
    norm_ = load_norm(loader, prefix + "ln_f");
    parameters_ = loader.parameters();
    embedding_parameters_ = embedding_.numel() + positions_.numel();
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
    return at::layer_norm(x, {config_.hidden}, parts.weight, parts.bias, config_.norm_eps);
  }

  at::Tensor embedding_, positions_;
  std::vector<Block> blocks_;
  Norm norm_;
};

}  // namespace

std::unique_ptr<CausalLM> load_gpt2(Loader& loader) { return std::make_unique<Gpt2>(loader); }

}  // namespace lora
