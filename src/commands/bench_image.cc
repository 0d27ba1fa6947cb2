// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "commands/bench.h"
#include "io/aten.h"
#include "models/noise.h"
#include "models/sd_kinds.h"
#include "models/stable_diffusion.h"
#include "nn/backends.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct PresetRow {
  std::string_view name;
  SdKind kind;
};

constexpr PresetRow kPresets[] = {
    {"sd15", SdKind::sd1}, {"sd21", SdKind::sd2}, {"sdxl", SdKind::sdxl}};

constexpr std::int64_t kTextPositions = 77;

struct Options : BenchOptions {
  explicit Options(const CommandLine& line)
      : BenchOptions(line), resolution(line.whole("--resolution")) {
    if (resolution % 8 == 0) return;
    fail_usage("--resolution: ", resolution, " is not a multiple of 8");
  }

  std::int64_t resolution;
};

std::unique_ptr<StableDiffusion> make_model(const Options& o) {
  const SdKind kind = row_of(std::span<const PresetRow>(kPresets), "--preset", o.preset).kind;
  SdLoadOptions options;
  options.dtype = o.type();
  options.device = o.machine.device;
  // Latents and text states are cached in training: a step needs the UNet only.
  options.with_vae = options.with_text = false;
  auto model = StableDiffusion::random(sd_preset(kind), options, 0);
  model->set_checkpointing(o.checkpointing);
  return model;
}

struct Inputs {
  at::Tensor latents, noise, timesteps, time_ids;
  TextStates text;
};

Inputs make_inputs(const StableDiffusion& model, const Options& o) {
  const std::int64_t side = o.resolution / 8;
  const UNetConfig& unet = model.config().unet;
  Inputs in;
  const auto on_device = [&](const at::Tensor& tensor) { return tensor.to(o.machine.device); };
  in.latents = on_device(at::randn({o.batch, unet.in_channels, side, side}));
  in.noise = at::randn_like(in.latents);
  in.timesteps = on_device(at::randint(0, 1000, {o.batch}, at::kLong));
  in.text.hidden =
      on_device(at::randn({o.batch, kTextPositions, unet.text_width}).to(model.dtype()));
  if (unet.added_width > 0) {
    in.text.pooled =
        on_device(at::randn({o.batch, unet.added_width - 6 * unet.added_time_width}));
    const auto size = static_cast<double>(o.resolution);
    in.time_ids = on_device(
        at::tensor({size, size, 0.0, 0.0, size, size}, at::kFloat).repeat({o.batch, 1}));
  }
  return in;
}

Json report(const Options& o, const StableDiffusion& model, const BenchRun& run) {
  Json result = bench_report(o, run, model.parameters());
  result["resolution"] = o.resolution;
  result["images_per_s"] = static_cast<double>(o.batch) / result["step_s"].get<double>();
  return result;
}

}  // namespace

int bench_image(const Arguments& arguments) {
  const Options o(CommandLine("bench image", arguments));
  const FusedKernels fused(!o.plain);
  const auto model = make_model(o);
  ParameterPool pool(bench_adapters(*model, o.targets, kBenchRank));
  const Inputs in = make_inputs(*model, o);
  const NoiseSchedule schedule(model->config().schedule);
  const BenchRun run = timed_steps(pool, o, [&] {
    const at::Tensor noisy = schedule.add_noise(in.latents, in.noise, in.timesteps);
    const at::Tensor predicted = model->predict(noisy, in.timesteps, in.text, in.time_ids);
    const at::Tensor target = schedule.target(in.latents, in.noise, in.timesteps);
    return Loss{per_sample_mse(predicted, target).sum(), static_cast<double>(o.batch)};
  });
  const Json result = report(o, *model, run);
  print_report(o, result, fmt::format("batch {} at {} x {}", o.batch, o.resolution, o.resolution),
               fmt::format("{:.3f} pictures/s", result["images_per_s"].get<double>()));
  return 0;
}

}  // namespace lora
