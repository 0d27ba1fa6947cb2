// SPDX-License-Identifier: Apache-2.0
#include "models/unet.h"

#include <cmath>

#include "base/error.h"
#include "io/aten.h"
#include "nn/checkpoint.h"
#include "nn/observe.h"

namespace lora {

at::Tensor sinusoids(const at::Tensor& values, std::int64_t width, bool flip, double freq_shift) {
  const std::int64_t half = width / 2;
  const auto options = at::TensorOptions().dtype(at::kFloat).device(values.device());
  const double step = -std::log(10000.0);
  const at::Tensor exponent =
      at::arange(half, options) * step / (static_cast<double>(half) - freq_shift);
  const at::Tensor angles = values.to(at::kFloat).unsqueeze(1) * exponent.exp().unsqueeze(0);
  const at::Tensor sine = angles.sin(), cosine = angles.cos();
  at::Tensor both = flip ? at::cat({cosine, sine}, 1) : at::cat({sine, cosine}, 1);
  return width % 2 == 1 ? at::constant_pad_nd(both, {0, 1}) : both;
}

UNet::UNet(const UNetConfig& config, Modules& modules) : config_(config) {
  const std::int64_t first = config.channels.front(), time = 4 * first;
  conv_in_ = modules.conv("conv_in", config.in_channels, first, 3, 1, 1);
  time_1_ = modules.linear("time_embedding.linear_1", first, time);
  time_2_ = modules.linear("time_embedding.linear_2", time, time);
  if (config.added_width > 0) {
    add_1_ = modules.linear("add_embedding.linear_1", config.added_width, time);
    add_2_ = modules.linear("add_embedding.linear_2", time, time);
  }
  make_down(modules);
  make_up(modules);
  norm_out_ = modules.group_norm("conv_norm_out", first, config.groups, config.eps);
  conv_out_ = modules.conv("conv_out", first, config.out_channels, 3, 1, 1);
  parameters_ = modules.parameters();
}

void UNet::make_down(Modules& modules) {
  const std::int64_t time = 4 * config_.channels.front();
  const std::size_t levels = config_.channels.size();
  const auto transformer = [&](const std::string& name, std::size_t level) {
    return make_transformer(modules, name,
                            {config_.channels[level], config_.heads[level], config_.depth[level],
                             config_.text_width, config_.groups, config_.linear_projection});
  };
  std::int64_t in = config_.channels.front();
  for (std::size_t level = 0; level < levels; ++level) {
    Block block;
    block.name = join("down_blocks.", level);
    const std::int64_t out = config_.channels[level];
    for (std::int64_t i = 0; i < config_.layers_per_block; ++i) {
      block.resnets.push_back(make_resnet(modules, join(block.name, ".resnets.", i),
                                          i == 0 ? in : out, out, time, config_.groups,
                                          config_.eps));
      if (config_.down_attention[level]) {
        block.attentions.push_back(transformer(join(block.name, ".attentions.", i), level));
      }
    }
    if (level + 1 < levels) {
      block.sampler = modules.conv(block.name + ".downsamplers.0.conv", out, out, 3, 2, 1);
    }
    down_.push_back(std::move(block));
    in = out;
  }
  middle_.name = "mid_block";
  for (int i = 0; i < 2; ++i) {
    middle_.resnets.push_back(make_resnet(modules, join("mid_block.resnets.", i), in, in, time,
                                          config_.groups, config_.eps));
  }
  middle_.attentions.push_back(transformer("mid_block.attentions.0", levels - 1));
}

void UNet::make_up(Modules& modules) {
  const std::int64_t time = 4 * config_.channels.front();
  const std::size_t levels = config_.channels.size();
  std::int64_t previous = config_.channels.back();
  for (std::size_t i = 0; i < levels; ++i) {
    const std::size_t level = levels - 1 - i;
    const std::int64_t out = config_.channels[level];
    const std::int64_t below = config_.channels[level > 0 ? level - 1 : 0];
    Block block;
    block.name = join("up_blocks.", i);
    for (std::int64_t j = 0; j <= config_.layers_per_block; ++j) {
      const std::int64_t skip = j == config_.layers_per_block ? below : out;
      block.resnets.push_back(make_resnet(modules, join(block.name, ".resnets.", j),
                                          (j == 0 ? previous : out) + skip, out, time,
                                          config_.groups, config_.eps));
      if (config_.up_attention[i]) {
        block.attentions.push_back(
            make_transformer(modules, join(block.name, ".attentions.", j),
                             {out, config_.heads[level], config_.depth[level], config_.text_width,
                              config_.groups, config_.linear_projection}));
      }
    }
    if (i + 1 < levels) {
      block.sampler = modules.conv(block.name + ".upsamplers.0.conv", out, out, 3, 1, 1);
    }
    up_.push_back(std::move(block));
    previous = out;
  }
}

at::Tensor UNet::added_input(const at::Tensor& pooled, const at::Tensor& time_ids) const {
  const at::Tensor waves = observe("add_time_proj", "",
                                   sinusoids(time_ids.flatten(), config_.added_time_width,
                                             config_.flip_sin_to_cos, config_.freq_shift));
  const at::Tensor added = at::cat({pooled.to(at::kFloat), waves.view({time_ids.size(0), -1})}, 1);
  if (added.size(1) != config_.added_width) {
    fail("UNet: pooled text and time ids make ", added.size(1), " values, expected ",
         config_.added_width, "; text encoder 2 does not belong to this UNet");
  }
  return added;
}

at::Tensor UNet::time_embedding(const at::Tensor& timesteps, const at::Tensor& added) const {
  const at::ScalarType dtype = time_1_.weight.dtype();
  const at::Tensor waves = observe(
      "time_proj", "",
      sinusoids(timesteps, config_.channels.front(), config_.flip_sin_to_cos, config_.freq_shift));
  const at::Tensor inner = observe("time_embedding.linear_1", "", time_1_.forward(waves.to(dtype)));
  const at::Tensor time = observe("time_embedding", "", time_2_.forward(at::silu(inner)));
  if (!add_1_) return time;
  if (!added.defined()) fail("UNet: this model (SDXL) needs time ids and pooled text states");
  const at::Tensor extra = add_2_->forward(at::silu(add_1_->forward(added.to(dtype))));
  return time + observe("add_embedding", "", extra);
}

at::Tensor UNet::unit(const Block& block, std::size_t layer, const at::Tensor& x,
                      const at::Tensor& temb, const at::Tensor& text) const {
  const Body body = [&block, layer, temb, text](const at::Tensor& in) {
    const at::Tensor h = block.resnets[layer].forward(in, temb);
    return layer < block.attentions.size() ? block.attentions[layer].forward(h, text) : h;
  };
  if (!checkpointing_) return body(x);
  std::vector<at::Tensor> learning;
  for (const at::Tensor& input : {temb, text}) {
    if (input.requires_grad()) learning.push_back(input);
  }
  const LayerVisitor collect = [&](const std::string&, Layer& part) {
    append_trainable(part.adapters, learning);
  };
  // visit() is not const, because it is how adapters are attached; here nothing is changed.
  auto& open = const_cast<Block&>(block);
  open.resnets[layer].visit("", collect);
  if (layer < block.attentions.size()) open.attentions[layer].visit("", collect);
  return checkpoint(body, x, learning);
}

at::Tensor UNet::run_down(const Block& block, at::Tensor x, const at::Tensor& temb,
                          const at::Tensor& text, std::vector<at::Tensor>& skips) const {
  for (std::size_t i = 0; i < block.resnets.size(); ++i) {
    x = unit(block, i, x, temb, text);
    skips.push_back(x);
  }
  if (block.sampler) {
    x = observe(block.name, ".downsamplers.0", block.sampler->forward(x));
    skips.push_back(x);
  }
  return x;
}

at::Tensor UNet::run_up(const Block& block, at::Tensor x, const at::Tensor& temb,
                        const at::Tensor& text, std::vector<at::Tensor>& skips) const {
  for (std::size_t i = 0; i < block.resnets.size(); ++i) {
    x = unit(block, i, at::cat({x, skips.back()}, 1), temb, text);
    skips.pop_back();
  }
  if (!block.sampler) return x;
  // Odd sizes: the skip tensor tells how large the picture was before it was halved.
  const at::Tensor larger = upsample(x, skips.back().size(2), skips.back().size(3));
  return observe(block.name, ".upsamplers.0", block.sampler->forward(larger));
}

at::Tensor UNet::forward(const at::Tensor& latents, const at::Tensor& timesteps,
                         const at::Tensor& text, const at::Tensor& added) const {
  if (text.size(-1) != config_.text_width) {
    fail("UNet: text states are ", text.size(-1), " wide, expected ", config_.text_width,
         "; the text encoder does not belong to this UNet");
  }
  const at::Tensor temb = at::silu(time_embedding(timesteps, added));
  const at::Tensor in = latents.to(conv_in_.weight.dtype());
  at::Tensor x =
      observe("conv_in", "", conv_in_.forward(in.contiguous(at::MemoryFormat::ChannelsLast)));
  std::vector<at::Tensor> skips = {x};
  for (const Block& block : down_) x = run_down(block, x, temb, text, skips);
  x = unit(middle_, 0, x, temb, text);
  x = middle_.resnets[1].forward(x, temb);
  for (const Block& block : up_) x = run_up(block, x, temb, text, skips);
  return observe("conv_out", "", conv_out_.forward(norm_out_.silu(x, "conv_norm_out")));
}

namespace {

void visit_block(UNet::Block& block, const std::string& sampler, const std::string& prefix,
                 const LayerVisitor& visit) {
  for (SpatialTransformer& attention : block.attentions) attention.visit(prefix, visit);
  for (ResnetBlock& resnet : block.resnets) resnet.visit(prefix, visit);
  if (block.sampler) visit(prefix + block.name + sampler, *block.sampler);
}

}  // namespace

void UNet::for_each_layer(const std::string& prefix, const LayerVisitor& visit) {
  visit(prefix + "conv_in", conv_in_);
  visit(prefix + "time_embedding.linear_1", time_1_);
  visit(prefix + "time_embedding.linear_2", time_2_);
  if (add_1_) {
    visit(prefix + "add_embedding.linear_1", *add_1_);
    visit(prefix + "add_embedding.linear_2", *add_2_);
  }
  for (Block& block : down_) visit_block(block, ".downsamplers.0.conv", prefix, visit);
  for (Block& block : up_) visit_block(block, ".upsamplers.0.conv", prefix, visit);
  visit_block(middle_, "", prefix, visit);
  visit(prefix + "conv_out", conv_out_);
}

}  // namespace lora
