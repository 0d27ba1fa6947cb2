// SPDX-License-Identifier: Apache-2.0
#include "models/stable_diffusion.h"

#include <ATen/CPUGeneratorImpl.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "io/aten.h"
#include "models/sd_checkpoint.h"
#include "models/sd_kinds.h"

namespace lora {
namespace {

// Which hidden state an encoder gives to the UNet.
struct StateRule {
  std::int64_t from_end;  // hidden[size - from_end]
  bool norm;              // then the final layer norm
};

StateRule state_rule(SdKind kind, std::int64_t clip_skip) {
  if (clip_skip < 0) fail_usage("clip_skip ", clip_skip, ": expected 0 or more");
  const SdKindRow& row = sd_kind(kind);
  return {clip_skip > 1 ? clip_skip : row.from_end, row.final_norm};
}

at::Tensor pick(const ClipText& encoder, const ClipOutput& output, const StateRule& rule) {
  const auto size = static_cast<std::int64_t>(output.hidden.size());
  if (rule.from_end >= size) {
    fail_usage("clip_skip ", rule.from_end, ": the text encoder has only ", size - 1, " layers");
  }
  const at::Tensor state = output.hidden[static_cast<std::size_t>(size - rule.from_end)];
  return rule.norm ? encoder.final_norm(state) : state;
}

// ids [B, n * inner + 2] -> [B * n, inner + 2]: each chunk gets the first and the last id.
at::Tensor chunked(const at::Tensor& ids, std::int64_t inner) {
  const std::int64_t length = ids.size(1);
  const at::Tensor first = ids.slice(1, 0, 1), last = ids.slice(1, length - 1, length);
  std::vector<at::Tensor> chunks;
  for (std::int64_t at = 1; at + 1 < length; at += inner) {
    chunks.push_back(at::cat({first, ids.slice(1, at, at + inner), last}, 1));
  }
  return at::stack(chunks, 1).flatten(0, 1);
}

// states [B * n, inner + 2, W] -> [B, n * inner + 2, W]: position 0 of the first chunk, the inner
// positions of all, the last position of the last.
at::Tensor joined(const at::Tensor& states, std::int64_t chunks) {
  if (chunks == 1) return states;
  const std::int64_t length = states.size(1), width = states.size(2);
  const at::Tensor each = states.view({-1, chunks, length, width});
  const at::Tensor inner = each.slice(2, 1, length - 1).flatten(1, 2);
  return at::cat({each.select(1, 0).slice(1, 0, 1), inner,
                  each.select(1, chunks - 1).slice(1, length - 1, length)},
                 1);
}

TextStates encode(const ClipText& encoder, const at::Tensor& ids, const StateRule& rule) {
  const std::int64_t inner = encoder.config().positions - 2;
  if (ids.size(1) <= inner + 2) {
    const ClipOutput output = encoder.forward(ids);
    return {pick(encoder, output, rule), output.pooled};
  }
  if ((ids.size(1) - 2) % inner != 0) {
    fail("prompt: ", ids.size(1), " token ids, expected a multiple of ", inner, " and 2 more");
  }
  const std::int64_t chunks = (ids.size(1) - 2) / inner;
  const ClipOutput output = encoder.forward(chunked(ids, inner));
  // The pooled state of the first chunk stands for the whole prompt, as in sd-scripts.
  const at::Tensor pooled = output.pooled.view({ids.size(0), chunks, -1}).select(1, 0);
  return {joined(pick(encoder, output, rule), chunks), pooled};
}

// What a single file says about its prediction, as metadata (modelspec) or by keys that trainers
// add. False: it says nothing, and both occur among files of its kind (SD 2: 512 noise, 768 v).
bool apply_metadata(const SdCheckpoint& file, SdConfig& config) {
  if (file.has("edm_mean") || file.has("edm_vpred.sigma_max")) {
    fail_usage(file.where(), ": trained with EDM noise (found the key ",
               file.has("edm_mean") ? "edm_mean" : "edm_vpred.sigma_max",
               ", expected noise or v prediction); it cannot be the base");
  }
  if (file.has("ztsnr")) config.schedule.zero_terminal_snr = true;
  if (file.has("v_pred")) {
    config.schedule.prediction = Prediction::v;
    return true;
  }
  const auto at = file.metadata().find("modelspec.prediction_type");
  if (at == file.metadata().end()) return !sd_kind(config.kind).may_predict_v;
  config.schedule.prediction =
      lower_ascii(at->second).starts_with("v") ? Prediction::v : Prediction::epsilon;
  return true;
}

using PartSource = std::function<std::unique_ptr<WeightSource>(SdPart)>;

template <typename Part, typename PartConfig>
std::unique_ptr<Part> make_part(const PartConfig& config, std::unique_ptr<WeightSource> source,
                                LoadOptions options) {
  Modules modules(*source, options);
  return std::make_unique<Part>(config, modules);
}

}  // namespace

Prediction measured_prediction(
    const std::function<at::Tensor(const at::Tensor& latents, const at::Tensor& timesteps)>&
        predict,
    std::int64_t train_steps) {
  constexpr std::int64_t kSide = 32;
  at::Generator random = at::detail::createCPUGenerator(0);
  const at::Tensor noise = at::normal(0, 1, {2, 4, kSide, kSide}, random, at::kFloat);
  const at::NoGradGuard no_grad;
  const at::Tensor out = predict(noise, at::full({2}, train_steps - 1, at::kLong)).to(at::kFloat);
  const double lengths = noise.norm().item<double>() * out.norm().item<double>();
  const double likeness = lengths > 0 ? (noise * out.cpu()).sum().item<double>() / lengths : 0;
  return likeness > 0.5 ? Prediction::epsilon : Prediction::v;
}

at::Tensor LatentDistribution::sample(const at::Tensor& noise) const {
  return noise.defined() ? mean + (logvar * 0.5).exp() * noise : mean;
}

void StableDiffusion::build(const PartSource& source, const SdLoadOptions& options) {
  dtype_ = options.dtype;
  device_ = options.device;
  if (options.prediction) config_.schedule.prediction = *options.prediction;
  const LoadOptions load{dtype_, device_};
  unet_ = make_part<UNet>(config_.unet, source(SdPart::unet), load);
  if (options.with_text) {
    text_ = make_part<ClipText>(config_.text, source(SdPart::text), load);
    if (sd_kind(config_.kind).second_encoder) {
      text_2_ = make_part<ClipText>(config_.text_2, source(SdPart::text_2), load);
    }
  }
  if (options.with_vae) {
    const at::ScalarType same = dtype_ == at::kHalf ? at::kFloat : dtype_;
    vae_ = make_part<Vae>(config_.vae, source(SdPart::vae),
                          {options.vae_dtype.value_or(same), device_});
  }
}

void StableDiffusion::measure_prediction() {
  const at::Tensor states = at::zeros({2, config_.text.positions, config_.unet.text_width});
  config_.schedule.prediction = measured_prediction(
      [&](const at::Tensor& latents, const at::Tensor& timesteps) {
        return predict(latents, timesteps, {states, {}});
      },
      config_.schedule.train_steps);
}

std::unique_ptr<StableDiffusion> StableDiffusion::load(const Path& path,
                                                       const SdLoadOptions& options) {
  if (!std::filesystem::exists(path)) fail_usage(path.string(), ": no such file or folder");
  std::unique_ptr<StableDiffusion> model(new StableDiffusion);
  if (std::filesystem::is_directory(path)) {
    model->config_ = read_sd_config(path);
    model->build([&](SdPart part) { return folder_part(path, part); }, options);
    return model;
  }
  const SdKind kind = identify_checkpoint(path);
  model->config_ = options.architecture.value_or(sd_preset(kind));
  const SdCheckpoint file(path, model->config_);
  if (options.with_vae) file.require_vae();
  const bool stated = apply_metadata(file, model->config_) || options.prediction.has_value();
  model->build([&](SdPart part) { return file.part(part); }, options);
  if (!stated) model->measure_prediction();
  return model;
}

std::unique_ptr<StableDiffusion> StableDiffusion::random(const SdConfig& config,
                                                         const SdLoadOptions& options,
                                                         std::uint64_t seed) {
  std::unique_ptr<StableDiffusion> model(new StableDiffusion);
  model->config_ = config;
  model->build(
      [&](SdPart part) {
        return std::make_unique<RandomWeights>(options.dtype, seed + static_cast<int>(part));
      },
      options);
  return model;
}

std::int64_t StableDiffusion::pixels_per_latent() const {
  return std::int64_t{1} << (config_.vae.channels.size() - 1);
}

std::int64_t StableDiffusion::parameters() const {
  return unet_->parameters() + (text_ ? text_->parameters() : 0) +
         (text_2_ ? text_2_->parameters() : 0);
}

void StableDiffusion::for_each_layer(const LayerVisitor& visit) {
  unet_->for_each_layer("unet.", visit);
  if (text_) text_->for_each_layer("text_encoder.", visit);
  if (text_2_) text_2_->for_each_layer("text_encoder_2.", visit);
}

TextStates StableDiffusion::encode_prompt(const at::Tensor& ids, const at::Tensor& ids_2,
                                          std::int64_t clip_skip) const {
  if (!text_) fail("encode_prompt: the text encoders were not loaded");
  const StateRule rule = state_rule(config_.kind, clip_skip);
  TextStates states = encode(*text_, ids.to(device_), rule);
  if (!sd_kind(config_.kind).second_encoder) {
    states.pooled = at::Tensor();
    return states;
  }
  if (!ids_2.defined()) fail("encode_prompt: SDXL needs the ids of both tokenizers");
  const TextStates second = encode(*text_2_, ids_2.to(device_), rule);
  return {at::cat({states.hidden, second.hidden}, 2), second.pooled};
}

LatentDistribution StableDiffusion::encode_image(const at::Tensor& pixels) const {
  if (!vae_) fail("encode_image: the VAE was not loaded");
  const std::int64_t step = pixels_per_latent();
  if (pixels.dim() != 4 || pixels.size(2) % step != 0 || pixels.size(3) % step != 0) {
    fail("picture: size ", join(pixels.sizes()),
         ", expected [B, 3, H, W] with H and W multiples "
         "of ",
         step);
  }
  const auto halves = vae_->moments(pixels.to(device_)).chunk(2, 1);
  return {halves[0], halves[1].clamp(-30.0, 20.0)};
}

at::Tensor StableDiffusion::decode(const at::Tensor& latents) const {
  if (!vae_) fail("decode: the VAE was not loaded");
  return vae_->decode(latents.to(device_, at::kFloat) / config_.vae.scale);
}

at::Tensor StableDiffusion::predict(const at::Tensor& latents, const at::Tensor& timesteps,
                                    const TextStates& text, const at::Tensor& time_ids) const {
  at::Tensor added;
  if (sd_kind(config_.kind).second_encoder) {
    if (!text.pooled.defined() || !time_ids.defined()) {
      fail("predict: SDXL needs time ids and the pooled text state");
    }
    added = unet_->added_input(text.pooled, time_ids.to(device_));
  }
  return unet_
      ->forward(latents.to(device_), timesteps.to(device_), text.hidden.to(device_, dtype_), added)
      .to(at::kFloat);
}

void StableDiffusion::set_checkpointing(bool on) {
  unet_->set_checkpointing(on);
  if (text_) text_->set_checkpointing(on);
  if (text_2_) text_2_->set_checkpointing(on);
}

}  // namespace lora
