// SPDX-License-Identifier: Apache-2.0
#include "models/vae.h"

#include <cmath>

#include "base/error.h"
#include "io/aten.h"
#include "nn/observe.h"

namespace lora {
namespace {

constexpr double kNormEps = 1e-6;

// Queries at a time: bounds the score matrix at large pictures (16384 positions at 1024 x 1024).
constexpr std::int64_t kQueries = 1024;

// Files of before 2023 call the projections of the attention differently, and the original layout
// keeps them as 1 x 1 convolutions (the source of the weights takes the ones away).
Layer attention_layer(Modules& modules, const std::string& name, const std::string& now,
                      const std::string& before, std::int64_t width) {
  const bool old = !modules.has(join(name, ".", now, ".weight"));
  return modules.linear(join(name, ".", old ? before : now), width, width);
}

Vae::MidAttention make_mid_attention(Modules& modules, const std::string& name, std::int64_t width,
                                     std::int64_t groups) {
  Vae::MidAttention attention;
  attention.name = name;
  attention.norm = modules.group_norm(name + ".group_norm", width, groups, kNormEps);
  attention.q = attention_layer(modules, name, "to_q", "query", width);
  attention.k = attention_layer(modules, name, "to_k", "key", width);
  attention.v = attention_layer(modules, name, "to_v", "value", width);
  attention.out = attention_layer(modules, name, "to_out.0", "proj_attn", width);
  return attention;
}

void make_middle(Modules& modules, const std::string& name, const VaeConfig& config,
                 Vae::Half& half) {
  const std::int64_t width = config.channels.back();
  for (int i = 0; i < 2; ++i) {
    half.mid.push_back(make_resnet(modules, join(name, ".mid_block.resnets.", i), width, width, 0,
                                   config.groups, kNormEps));
  }
  half.attention =
      make_mid_attention(modules, name + ".mid_block.attentions.0", width, config.groups);
}

}  // namespace

at::Tensor Vae::MidAttention::forward(const at::Tensor& x) const {
  const std::int64_t width = x.size(1), length = x.size(2) * x.size(3);
  const at::Tensor h = norm(x).permute({0, 2, 3, 1}).reshape({x.size(0), length, width});
  const at::Tensor queries = q.forward(h) * (1 / std::sqrt(static_cast<double>(width)));
  const at::Tensor keys = k.forward(h).transpose(1, 2), values = v.forward(h);
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : queries.split(kQueries, 1)) {
    parts.push_back(at::bmm(at::softmax(at::bmm(part, keys), -1), values));
  }
  const at::Tensor y = out.forward(at::cat(parts, 1));
  return observe(name, "",
                 y.view({x.size(0), x.size(2), x.size(3), width}).permute({0, 3, 1, 2}) + x);
}

Vae::Vae(const VaeConfig& config, Modules& modules) : config_(config), dtype_(modules.dtype()) {
  make_encoder(modules);
  make_decoder(modules);
  const std::int64_t latent = config.latent_channels;
  quant_ = modules.conv("quant_conv", 2 * latent, 2 * latent, 1);
  post_quant_ = modules.conv("post_quant_conv", latent, latent, 1);
}

void Vae::make_encoder(Modules& modules) {
  std::int64_t in = config_.channels.front();
  encoder_.conv_in = modules.conv("encoder.conv_in", config_.in_channels, in, 3, 1, 1);
  for (std::size_t i = 0; i < config_.channels.size(); ++i) {
    const std::int64_t out = config_.channels[i];
    Stage stage;
    stage.name = join("encoder.down_blocks.", i);
    for (std::int64_t j = 0; j < config_.layers_per_block; ++j) {
      stage.resnets.push_back(make_resnet(modules, join(stage.name, ".resnets.", j),
                                          j == 0 ? in : out, out, 0, config_.groups, kNormEps));
    }
    if (i + 1 < config_.channels.size()) {
      stage.sampler = modules.conv(stage.name + ".downsamplers.0.conv", out, out, 3, 2, 0);
    }
    encoder_.stages.push_back(std::move(stage));
    in = out;
  }
  make_middle(modules, "encoder", config_, encoder_);
  encoder_.norm_out = modules.group_norm("encoder.conv_norm_out", in, config_.groups, kNormEps);
  encoder_.conv_out = modules.conv("encoder.conv_out", in, 2 * config_.latent_channels, 3, 1, 1);
}

void Vae::make_decoder(Modules& modules) {
  std::int64_t in = config_.channels.back();
  decoder_.conv_in = modules.conv("decoder.conv_in", config_.latent_channels, in, 3, 1, 1);
  make_middle(modules, "decoder", config_, decoder_);
  for (std::size_t i = 0; i < config_.channels.size(); ++i) {
    const std::int64_t out = config_.channels[config_.channels.size() - 1 - i];
    Stage stage;
    stage.name = join("decoder.up_blocks.", i);
    for (std::int64_t j = 0; j <= config_.layers_per_block; ++j) {
      stage.resnets.push_back(make_resnet(modules, join(stage.name, ".resnets.", j),
                                          j == 0 ? in : out, out, 0, config_.groups, kNormEps));
    }
    if (i + 1 < config_.channels.size()) {
      stage.sampler = modules.conv(stage.name + ".upsamplers.0.conv", out, out, 3, 1, 1);
    }
    decoder_.stages.push_back(std::move(stage));
    in = out;
  }
  decoder_.norm_out = modules.group_norm("decoder.conv_norm_out", in, config_.groups, kNormEps);
  decoder_.conv_out = modules.conv("decoder.conv_out", in, config_.in_channels, 3, 1, 1);
}

at::Tensor Vae::middle(const Half& half, const at::Tensor& x) const {
  return half.mid[1].forward(half.attention.forward(half.mid[0].forward(x, {})), {});
}

at::Tensor Vae::moments(const at::Tensor& pixels) const {
  const at::NoGradGuard no_gradient;
  const Half& half = encoder_;
  at::Tensor x = pixels.to(dtype_).contiguous(at::MemoryFormat::ChannelsLast);
  x = observe("encoder.conv_in", "", half.conv_in.forward(x));
  for (const Stage& stage : half.stages) {
    for (const ResnetBlock& resnet : stage.resnets) x = resnet.forward(x, {});
    if (!stage.sampler) continue;
    // One column and one row of zeros on the right and at the bottom only.
    const at::Tensor padded =
        at::constant_pad_nd(x, {0, 1, 0, 1}).contiguous(at::MemoryFormat::ChannelsLast);
    x = observe(stage.name, ".downsamplers.0", stage.sampler->forward(padded));
  }
  x = half.norm_out.silu(middle(half, x), "encoder.conv_norm_out");
  x = observe("encoder.conv_out", "", half.conv_out.forward(x));
  return observe("quant_conv", "", quant_.forward(x)).to(at::kFloat).contiguous();
}

at::Tensor Vae::decode(const at::Tensor& latents) const {
  const at::NoGradGuard no_gradient;
  const Half& half = decoder_;
  at::Tensor x = latents.to(dtype_).contiguous(at::MemoryFormat::ChannelsLast);
  x = observe("post_quant_conv", "", post_quant_.forward(x));
  x = middle(half, observe("decoder.conv_in", "", half.conv_in.forward(x)));
  for (const Stage& stage : half.stages) {
    for (const ResnetBlock& resnet : stage.resnets) x = resnet.forward(x, {});
    if (!stage.sampler) continue;
    x = observe(stage.name, ".upsamplers.0",
                stage.sampler->forward(upsample(x, 2 * x.size(2), 2 * x.size(3))));
  }
  x = half.norm_out.silu(x, "decoder.conv_norm_out");
  return observe("decoder.conv_out", "", half.conv_out.forward(x)).to(at::kFloat).contiguous();
}

}  // namespace lora
