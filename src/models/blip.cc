// SPDX-License-Identifier: Apache-2.0
#include "models/blip.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"
#include "io/aten.h"
#include "models/modules.h"
#include "tokenizers/word_pieces.h"

namespace lora {
namespace {

using Json = nlohmann::json;
using Settings = JsonReader<Json>;
constexpr const char* kRemedy = "is this the file of a BLIP model?";

// q [B, T, D], k and v [B, S, D] -> [B, T, D]
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                  bool causal) {
  const auto split = [&](const at::Tensor& x) {
    return x.view({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
  };
  const std::int64_t width = q.size(2) / heads;
  const double scale = 1 / std::sqrt(static_cast<double>(width));
  at::Tensor scores = at::matmul(split(q), split(k).transpose(2, 3)) * scale;
  if (causal) {
    const at::Tensor later = at::ones({q.size(1), k.size(1)}, at::kBool).triu(1);
    scores = scores.masked_fill(later, -INFINITY);
  }
  return at::matmul(at::softmax(scores, -1), split(v)).transpose(1, 2).flatten(2);
}

struct VisionLayer {
  Norm norm1, norm2;
  Layer qkv, projection, fc1, fc2;
};

struct Attention {
  Layer query, key, value, dense;
  Norm norm;

  // Post-norm: norm(x + dense(attention(x, context))).
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& context, std::int64_t heads,
                        bool causal) const {
    const at::Tensor y =
        attend(query.forward(x), key.forward(context), value.forward(context), heads, causal);
    return norm(x + dense.forward(y));
  }
};

struct TextLayer {
  Attention self, cross;
  Layer intermediate, output;
  Norm norm;
};

// `context`: width of what is attended to.
Attention read_attention(Modules& in, const std::string& name, std::int64_t width,
                         std::int64_t context, double eps) {
  return {in.linear(name + ".self.query", width, width),
          in.linear(name + ".self.key", context, width),
          in.linear(name + ".self.value", context, width),
          in.linear(name + ".output.dense", width, width),
          in.norm(name + ".output.LayerNorm", width, eps)};
}

class BlipModel : public Blip {
 public:
  BlipModel(const Path& folder, const Settings& config, at::Device device);

  at::Tensor pixels(const Image& image) const override;
  at::Tensor encode(const at::Tensor& pixels) const override;
  at::Tensor decode(const at::Tensor& ids, const at::Tensor& states) const override;
  Sequence caption_ids(const at::Tensor& pixels, SearchOptions options) const override;
  std::string caption(const Image& image) const override;

 private:
  void read_vision(Modules& in, const Settings& config);
  void read_text(Modules& in, const Settings& config, std::int64_t vision_width);
  void read_preprocessor(const Path& path);

  std::int64_t vision_heads_ = 0, text_heads_ = 0, image_size_ = 0, bos_ = 0, end_ = 0;
  std::array<double, 3> mean_ = {0.48145466, 0.4578275, 0.40821073};  // CLIP's
  std::array<double, 3> deviation_ = {0.26862954, 0.26130258, 0.27577711};
  at::Tensor class_embedding_, vision_positions_, word_embeddings_, text_positions_, head_bias_;
  Layer patches_, transform_;
  Norm post_norm_, embedding_norm_, transform_norm_;
  std::vector<VisionLayer> vision_;
  std::vector<TextLayer> text_;
  at::Device device_;
  WordPieces words_;
};

BlipModel::BlipModel(const Path& folder, const Settings& config, at::Device device)
    : device_(device), words_(WordPieces::load(folder)) {
  WeightFiles weights(folder);
  Modules in(weights, {.dtype = at::kFloat, .device = device});
  read_vision(in, config.inside("vision_config"));
  read_text(in, config.inside("text_config"), class_embedding_.size(2));
  read_preprocessor(folder / "preprocessor_config.json");
}

void BlipModel::read_vision(Modules& in, const Settings& config) {
  vision_heads_ = config.count("num_attention_heads", 12);
  image_size_ = config.count("image_size", 384);
  const double eps = config.positive("layer_norm_eps", 1e-5);
  const std::int64_t width = config.count("hidden_size", 768);
  const std::int64_t inner = config.count("intermediate_size", 3072);
  const std::int64_t patch = config.count("patch_size", 16);
  const std::int64_t positions = 1 + (image_size_ / patch) * (image_size_ / patch);
  const std::string name = "vision_model.";
  class_embedding_ = in.tensor(name + "embeddings.class_embedding", {1, 1, width});
  vision_positions_ = in.tensor(name + "embeddings.position_embedding", {1, positions, width});
  patches_ = in.conv(name + "embeddings.patch_embedding", 3, width, patch, patch);
  const std::int64_t count = config.count("num_hidden_layers", 12);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string layer = join(name, "encoder.layers.", i, ".");
    vision_.push_back(
        {in.norm(layer + "layer_norm1", width, eps), in.norm(layer + "layer_norm2", width, eps),
         in.linear(layer + "self_attn.qkv", width, 3 * width),
         in.linear(layer + "self_attn.projection", width, width),
         in.linear(layer + "mlp.fc1", width, inner), in.linear(layer + "mlp.fc2", inner, width)});
  }
  post_norm_ = in.norm(name + "post_layernorm", width, eps);
}

void BlipModel::read_text(Modules& in, const Settings& config, std::int64_t vision_width) {
  text_heads_ = config.count("num_attention_heads", 8);
  bos_ = config.whole("bos_token_id", 30522);
  end_ = config.whole("sep_token_id", 102);
  const double eps = config.positive("layer_norm_eps", 1e-12);
  const std::string bert = "text_decoder.bert.", head = "text_decoder.cls.predictions.";
  const std::int64_t words = config.count("vocab_size", 30524);
  const std::int64_t width = config.count("hidden_size", 768);
  const std::int64_t inner = config.count("intermediate_size", 3072);
  const std::int64_t positions = config.count("max_position_embeddings", 512);
  word_embeddings_ = in.tensor(bert + "embeddings.word_embeddings.weight", {words, width});
  text_positions_ = in.tensor(bert + "embeddings.position_embeddings.weight", {positions, width});
  embedding_norm_ = in.norm(bert + "embeddings.LayerNorm", width, eps);
  const std::int64_t count = config.count("num_hidden_layers", 12);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string layer = join(bert, "encoder.layer.", i, ".");
    text_.push_back({read_attention(in, layer + "attention", width, width, eps),
                     read_attention(in, layer + "crossattention", width, vision_width, eps),
                     in.linear(layer + "intermediate.dense", width, inner),
                     in.linear(layer + "output.dense", inner, width),
                     in.norm(layer + "output.LayerNorm", width, eps)});
  }
  transform_ = in.linear(head + "transform.dense", width, width);
  transform_norm_ = in.norm(head + "transform.LayerNorm", width, eps);
  head_bias_ =
      in.tensor(head + "bias", {words});  // the head's weight is tied to the word embeddings
}

void BlipModel::read_preprocessor(const Path& path) {
  if (!std::filesystem::exists(path)) return;
  const Json json = parse_json_object<Json>(read_file(path), path.string(), kRemedy);
  mean_ = json.value("image_mean", mean_);
  deviation_ = json.value("image_std", deviation_);
}

at::Tensor BlipModel::pixels(const Image& image) const {
  const int side = static_cast<int>(image_size_);
  const Image scaled = resize_bicubic(image, side, side);
  at::Tensor out = at::empty({1, 3, side, side}, at::kFloat);
  float* data = out.data_ptr<float>();
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(side) * side; ++i) {
      *data++ = static_cast<float>((scaled.rgb[i * 3 + c] / 255.0 - mean_[c]) / deviation_[c]);
    }
  }
  return out.to(device_);
}

at::Tensor BlipModel::encode(const at::Tensor& pixels) const {
  const at::Tensor patches = patches_.forward(pixels).flatten(2).transpose(1, 2);
  const at::Tensor first = class_embedding_.expand({pixels.size(0), 1, -1});
  at::Tensor x = at::cat({first, patches}, 1);
  x = x + vision_positions_.slice(1, 0, x.size(1));
  for (const VisionLayer& layer : vision_) {
    const auto qkv = layer.qkv.forward(layer.norm1(x)).chunk(3, -1);
    x = x + layer.projection.forward(attend(qkv[0], qkv[1], qkv[2], vision_heads_, false));
    x = x + layer.fc2.forward(at::gelu(layer.fc1.forward(layer.norm2(x))));
  }
  return post_norm_(x);
}

at::Tensor BlipModel::decode(const at::Tensor& ids, const at::Tensor& states) const {
  at::Tensor x = at::embedding(word_embeddings_, ids) + text_positions_.slice(0, 0, ids.size(1));
  x = embedding_norm_(x);
  for (const TextLayer& layer : text_) {
    x = layer.self(x, x, text_heads_, true);
    x = layer.cross(x, states, text_heads_, false);
    x = layer.norm(x + layer.output.forward(at::gelu(layer.intermediate.forward(x))));
  }
  x = transform_norm_(at::gelu(transform_.forward(x)));
  return at::linear(x, word_embeddings_, head_bias_);
}

Sequence BlipModel::caption_ids(const at::Tensor& pixels, SearchOptions options) const {
  options.end = end_;
  const at::Tensor states = encode(pixels);
  const NextLogits next = [&](const std::vector<Sequence>& sequences) {
    std::vector<at::Tensor> rows;
    for (const Sequence& ids : sequences) rows.push_back(at::tensor(ids));
    const at::Tensor ids = at::stack(rows).to(device_);
    return decode(ids, states.expand({ids.size(0), -1, -1})).select(1, -1);
  };
  return search(next, {bos_}, options);
}

std::string BlipModel::caption(const Image& image) const {
  const at::NoGradGuard no_grad;
  const Sequence ids = caption_ids(pixels(image), {.beams = 3, .min_length = 5, .max_length = 30});
  const auto last = ids.back() == end_ ? ids.end() - 1 : ids.end();
  return words_.text({ids.begin() + 1, last});
}

}  // namespace

std::unique_ptr<Blip> Blip::load(const Path& folder, at::Device device) {
  const Path path = folder / "config.json";
  if (!std::filesystem::exists(path)) {
    fail(folder.string(),
         ": no config.json; a captioning model is a BLIP folder in the Hugging "
         "Face layout");
  }
  const Json json = parse_json_object<Json>(read_file(path), path.string(), kRemedy);
  const Settings config(json, path.string(), kRemedy);
  const std::string type = config.text("model_type", "");
  if (type != "blip" || !config.has("text_config") || !config.has("vision_config")) {
    fail(path.string(), ": model_type '", type, "', expected blip (BlipForConditionalGeneration)");
  }
  return std::make_unique<BlipModel>(folder, config, device);
}

}  // namespace lora
