// SPDX-License-Identifier: Apache-2.0
#include "models/unet_blocks.h"

#include <cmath>

#include "base/error.h"
#include "io/aten.h"
#include "nn/observe.h"
#include "nn/ops.h"
#include "nn/projections.h"

namespace lora {
namespace {

// x [B, C, H, W] in channels_last memory -> [B, H W, C], without a copy.
at::Tensor to_tokens(const at::Tensor& x) {
  return x.permute({0, 2, 3, 1}).reshape({x.size(0), x.size(2) * x.size(3), x.size(1)});
}

at::Tensor to_image(const at::Tensor& tokens, const at::Tensor& like) {
  return tokens.view({like.size(0), like.size(2), like.size(3), -1}).permute({0, 3, 1, 2});
}

// GEGLU (arXiv 2002.05202): the first half of ff_in's outputs times gelu of the second, then
// ff_out.
at::Tensor feed_forward(const std::string& name, const Layer& ff_in, const Layer& ff_out,
                        const at::Tensor& x) {
  const auto inner = [&] {
    const auto halves = ff_in.forward(x).chunk(2, -1);
    return gated(halves[1], halves[0], Activation::gelu);
  };
  if (any_active(ff_in.adapters)) return ff_out.forward(observe(name, ".ff.net.0", inner()));
  observe_inside(name, ".ff.net.0", inner);
  const std::int64_t width = ff_in.out_features() / 2;
  const auto half = [&](std::int64_t first) {
    return Layer{.weight = ff_in.weight.rows(first, width),
                 .bias = ff_in.bias.narrow(0, first, width)};
  };
  return gated_mlp(half(width), half(0), ff_out, x, Activation::gelu);
}

}  // namespace

at::Tensor ResnetBlock::forward(const at::Tensor& x, const at::Tensor& silu_temb) const {
  at::Tensor time;
  if (time_proj) time = observe(name, ".time_emb_proj", time_proj->forward(silu_temb));
  at::Tensor h = observe(name, ".conv1", conv1.forward(norm1.silu(x, name + ".norm1")));
  h = observe(name, ".conv2", conv2.forward(norm2.silu(h, name + ".norm2", time)));
  const at::Tensor straight = shortcut ? observe(name, ".conv_shortcut", shortcut->forward(x)) : x;
  return observe(name, "", straight + h);
}

void ResnetBlock::visit(const std::string& prefix, const LayerVisitor& visit) {
  visit(prefix + name + ".conv1", conv1);
  if (time_proj) visit(prefix + name + ".time_emb_proj", *time_proj);
  visit(prefix + name + ".conv2", conv2);
  if (shortcut) visit(prefix + name + ".conv_shortcut", *shortcut);
}

at::Tensor CrossAttention::forward(const at::Tensor& x, const at::Tensor& context) const {
  const std::int64_t rows = x.size(0);
  const auto split = [&](const at::Tensor& y) {
    return y.view({rows, y.size(1), heads, y.size(2) / heads});
  };
  const bool self = x.is_same(context);
  const Qkv made =
      self ? project_qkv(q, k, v, x) : Qkv{q.forward(x), k.forward(context), v.forward(context)};
  const at::Tensor queries = split(made.q);
  AttentionMask mask;
  mask.causal = false;
  const double scale = 1 / std::sqrt(static_cast<double>(queries.size(3)));
  const at::Tensor y = attention(queries, split(made.k), split(made.v), scale, mask);
  return out.forward(y.reshape({rows, x.size(1), q.out_features()}));
}

void CrossAttention::visit(const std::string& prefix, const LayerVisitor& visit) {
  visit(prefix + ".to_q", q);
  visit(prefix + ".to_k", k);
  visit(prefix + ".to_v", v);
  visit(prefix + ".to_out.0", out);
}

at::Tensor TransformerBlock::forward(const at::Tensor& x, const at::Tensor& text) const {
  const at::Tensor a = observe(name, ".norm1", norm1(x));
  const auto [h, b] = norm2.add(x, observe(name, ".attn1", attn1.forward(a, a)));
  const auto [y, c] =
      norm3.add(h, observe(name, ".attn2", attn2.forward(observe(name, ".norm2", b), text)));
  const at::Tensor more = feed_forward(name, ff_in, ff_out, observe(name, ".norm3", c));
  return observe(name, "", y + observe(name, ".ff", more));
}

void TransformerBlock::visit(const std::string& prefix, const LayerVisitor& visit) {
  attn1.visit(prefix + name + ".attn1", visit);
  attn2.visit(prefix + name + ".attn2", visit);
  visit(prefix + name + ".ff.net.0.proj", ff_in);
  visit(prefix + name + ".ff.net.2", ff_out);
}

at::Tensor SpatialTransformer::forward(const at::Tensor& x, const at::Tensor& text) const {
  at::Tensor h = observe(name, ".norm", norm(x));
  h = proj_in.is_conv ? to_tokens(observe(name, ".proj_in", proj_in.forward(h)))
                      : observe(name, ".proj_in", proj_in.forward(to_tokens(h)));
  for (const TransformerBlock& block : blocks) h = block.forward(h, text);
  h = proj_out.is_conv ? observe(name, ".proj_out", proj_out.forward(to_image(h, x)))
                       : to_image(observe(name, ".proj_out", proj_out.forward(h)), x);
  return observe(name, "", h + x);
}

void SpatialTransformer::visit(const std::string& prefix, const LayerVisitor& visit) {
  visit(prefix + name + ".proj_in", proj_in);
  for (TransformerBlock& block : blocks) block.visit(prefix, visit);
  visit(prefix + name + ".proj_out", proj_out);
}

ResnetBlock make_resnet(Modules& modules, const std::string& name, std::int64_t in,
                        std::int64_t out, std::int64_t time_width, std::int64_t groups,
                        double eps) {
  ResnetBlock block;
  block.name = name;
  block.norm1 = modules.group_norm(name + ".norm1", in, groups, eps);
  block.conv1 = modules.conv(name + ".conv1", in, out, 3, 1, 1);
  if (time_width > 0) block.time_proj = modules.linear(name + ".time_emb_proj", time_width, out);
  block.norm2 = modules.group_norm(name + ".norm2", out, groups, eps);
  block.conv2 = modules.conv(name + ".conv2", out, out, 3, 1, 1);
  if (in != out) block.shortcut = modules.conv(name + ".conv_shortcut", in, out, 1);
  return block;
}

namespace {

constexpr double kTransformerNormEps = 1e-6, kLayerNormEps = 1e-5;

CrossAttention make_attention(Modules& modules, const std::string& name,
                              const TransformerSizes& sizes, std::int64_t context) {
  const std::int64_t width = sizes.channels;
  return {modules.linear(name + ".to_q", width, width, false),
          modules.linear(name + ".to_k", context, width, false),
          modules.linear(name + ".to_v", context, width, false),
          modules.linear(name + ".to_out.0", width, width), sizes.heads};
}

TransformerBlock make_block(Modules& modules, const std::string& name,
                            const TransformerSizes& sizes) {
  const std::int64_t width = sizes.channels;
  TransformerBlock block;
  block.name = name;
  block.norm1 = modules.norm(name + ".norm1", width, kLayerNormEps);
  block.attn1 = make_attention(modules, name + ".attn1", sizes, width);
  block.norm2 = modules.norm(name + ".norm2", width, kLayerNormEps);
  block.attn2 = make_attention(modules, name + ".attn2", sizes, sizes.text_width);
  block.norm3 = modules.norm(name + ".norm3", width, kLayerNormEps);
  block.ff_in = modules.linear(name + ".ff.net.0.proj", width, 8 * width);
  block.ff_out = modules.linear(name + ".ff.net.2", 4 * width, width);
  return block;
}

}  // namespace

SpatialTransformer make_transformer(Modules& modules, const std::string& name,
                                    const TransformerSizes& sizes) {
  const std::int64_t width = sizes.channels;
  if (width % sizes.heads != 0) {
    fail("UNet: ", width, " channels cannot be split over ", sizes.heads,
         " heads; check attention_head_dim in unet/config.json");
  }
  const auto projection = [&](const std::string& part) {
    return sizes.linear_projection ? modules.linear(name + part, width, width)
                                   : modules.conv(name + part, width, width, 1);
  };
  SpatialTransformer transformer;
  transformer.name = name;
  transformer.norm = modules.group_norm(name + ".norm", width, sizes.groups, kTransformerNormEps);
  transformer.proj_in = projection(".proj_in");
  for (std::int64_t i = 0; i < sizes.depth; ++i) {
    transformer.blocks.push_back(make_block(modules, join(name, ".transformer_blocks.", i), sizes));
  }
  transformer.proj_out = projection(".proj_out");
  return transformer;
}

at::Tensor upsample(const at::Tensor& x, std::int64_t height, std::int64_t width) {
  return at::upsample_nearest2d(x, {height, width});
}

}  // namespace lora
