// SPDX-License-Identifier: Apache-2.0
#include "models/sd_generate.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/table.h"
#include "io/aten.h"
#include "models/samplers.h"
#include "models/sd_kinds.h"

namespace lora {
namespace {

// SDXL: original height and width, crop top and left, target height and width.
at::Tensor time_ids(const StableDiffusion& sd, const ImageRequest& request, std::int64_t rows) {
  if (!sd_kind(sd.kind()).second_encoder) return {};
  const auto h = static_cast<float>(request.height), w = static_cast<float>(request.width);
  return at::tensor({h, w, 0.F, 0.F, h, w}).unsqueeze(0).repeat({rows, 1}).to(sd.device());
}

TextStates rows_of(const TextStates& a, const TextStates& b) {
  return {at::cat({a.hidden, b.hidden}),
          a.pooled.defined() ? at::cat({a.pooled, b.pooled}) : at::Tensor()};
}

// Predicts with guidance; both halves in one call of the UNet.
Denoiser make_denoiser(const StableDiffusion& sd, const SdPrompts& prompts,
                       const ImageRequest& request) {
  const auto encode = [&](const std::string& text) {
    return encode_prompts(sd, prompts, {text}, request.positions, request.clip_skip);
  };
  const bool guided = request.guidance != 1;
  const TextStates positive = encode(request.prompt);
  const TextStates text = guided ? rows_of(encode(request.negative), positive) : positive;
  const at::Tensor ids = time_ids(sd, request, guided ? 2 : 1);
  return [&sd, text, ids, guided, scale = request.guidance](const at::Tensor& latents, double t) {
    const at::Tensor input = guided ? at::cat({latents, latents}) : latents;
    const at::Tensor times =
        at::full({input.size(0)}, t, input.options().dtype(at::kFloat).device(sd.device()));
    const at::Tensor out = sd.predict(input, times, text, ids);
    if (!guided) return out;
    return guide(out.slice(0, 0, 1), out.slice(0, 1, 2), scale);
  };
}

}  // namespace

Image generate_image(const StableDiffusion& sd, const SdPrompts& prompts,
                     const ImageRequest& request,
                     const std::function<void(std::size_t step)>& after_step) {
  if (request.width % 8 != 0 || request.height % 8 != 0 || request.width < 8 ||
      request.height < 8) {
    fail_usage("size ", request.width, "x", request.height,
               ": not multiples of 8 (expected such as 512x768); change the size");
  }
  const at::NoGradGuard no_grad;
  at::Generator generator =
      at::detail::createCPUGenerator(static_cast<std::uint64_t>(request.seed));
  const NoiseSource noise = [&](at::IntArrayRef shape) {
    return at::randn(shape, generator, at::kFloat).to(sd.device());
  };
  ScheduleConfig config = sd.config().schedule;
  config.zero_terminal_snr |= request.zero_terminal_snr;
  const NoiseSchedule schedule(config);
  const auto sampler = make_sampler(request.sampler, schedule, request.steps);
  const std::int64_t scale = sd.pixels_per_latent();
  const at::Tensor start = noise({1, 4, request.height / scale, request.width / scale});
  const at::Tensor latents =
      sample(*sampler, make_denoiser(sd, prompts, request), start, noise, after_step);
  return image_of(sd.decode(latents)[0]);
}

std::map<std::string, std::string> png_parameters(const ImageRequest& request,
                                                  const std::string& model,
                                                  const std::string& version) {
  std::string text = request.prompt;
  if (!request.negative.empty()) text += "\nNegative prompt: " + request.negative;
  text += fmt::format("\nSteps: {}, Sampler: {}, CFG scale: {:g}, Seed: {}, Size: {}x{}, Model: {}",
                      request.steps, row_of(samplers(), "sampler", request.sampler).webui,
                      request.guidance, request.seed, request.width, request.height, model);
  if (!version.empty() && version != "base") text += ", Lora: " + version;
  return {{"parameters", text}};
}

at::Tensor image_tensor(const Image& image) {
  auto* data = const_cast<std::uint8_t*>(image.rgb.data());
  const at::Tensor bytes = at::from_blob(data, {image.height, image.width, 3}, at::kByte);
  return bytes.permute({2, 0, 1}).to(at::kFloat).div(127.5).sub(1).contiguous();
}

Image image_of(const at::Tensor& pixels) {
  const at::Tensor bytes =
      pixels.to(at::kFloat).add(1).mul(127.5).round().clamp(0, 255).to(at::kByte);
  const at::Tensor rows = bytes.permute({1, 2, 0}).contiguous().cpu();
  const auto* data = rows.data_ptr<std::uint8_t>();
  return {static_cast<int>(rows.size(1)), static_cast<int>(rows.size(0)),
          std::vector<std::uint8_t>(data, data + rows.numel())};
}

}  // namespace lora
