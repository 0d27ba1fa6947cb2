// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/memory.h"
#include "base/table.h"
#include "base/text.h"
#include "commands/bench.h"
#include "commands/cli.h"
#include "models/noise.h"
#include "models/stable_diffusion.h"
#include "train/optimizers.h"
#include "train/threads.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct PresetRow {
  std::string_view name;
  SdKind kind;
};

constexpr PresetRow kPresets[] = {
    {"sd15", SdKind::sd1}, {"sd21", SdKind::sd2}, {"sdxl", SdKind::sdxl}};

struct DtypeRow {
  std::string_view name;
  at::ScalarType type;
};

constexpr DtypeRow kDtypes[] = {{"bf16", at::kBFloat16}, {"f32", at::kFloat}};

constexpr std::int64_t kRank = 8, kTextPositions = 77;

struct Options {
  std::string preset = "sd15", dtype = "bf16", targets = "to_q,to_k,to_v,to_out.0";
  std::int64_t batch = 1, resolution = 512, steps = 5;
  int threads = 0;
  bool checkpointing = false, json = false;
};

Options parse(const Arguments& arguments) {
  Options o;
  CLI::App app;
  app.add_option("--preset", o.preset);
  app.add_option("--dtype", o.dtype);
  app.add_option("--targets", o.targets);
  app.add_option("--batch", o.batch)->check(CLI::Range(1, 4096));
  app.add_option("--resolution", o.resolution)->check(CLI::Range(64, 4096));
  app.add_option("--steps", o.steps)->check(CLI::Range(1, 1000000));
  app.add_option("--threads", o.threads)->check(CLI::Range(0, 4096));
  app.add_flag("--checkpointing", o.checkpointing);
  app.add_flag("--json", o.json);
  parse_arguments(app, "bench image", arguments);
  if (o.resolution % 8 != 0) {
    fail_usage("--resolution: ", o.resolution, " is not a multiple of 8");
  }
  return o;
}

std::unique_ptr<StableDiffusion> make_model(const Options& o) {
  const SdKind kind = row_of(std::span<const PresetRow>(kPresets), "--preset", o.preset).kind;
  SdLoadOptions options;
  options.dtype = row_of(std::span<const DtypeRow>(kDtypes), "--dtype", o.dtype).type;
  // Latents and text states are cached in training: a step needs the UNet only.
  options.with_vae = options.with_text = false;
  auto model = StableDiffusion::random(sd_preset(kind), options, 0);
  model->set_checkpointing(o.checkpointing);
  return model;
}

bool wanted(const Options& o, const std::string& name, const Layer& layer) {
  if (o.targets == "all-linear") return !layer.is_conv;
  for (const std::string& target : split(o.targets, ',')) {
    if (name.ends_with("." + target)) return true;
  }
  return false;
}

std::vector<Parameter> add_adapters(StableDiffusion& model, const Options& o) {
  std::vector<Parameter> parameters;
  model.for_each_layer([&](const std::string& name, Layer& layer) {
    if (!wanted(o, name, layer)) return;
    std::vector<std::int64_t> a = layer.weight.sizes().vec(), b = a;
    a[0] = b[1] = kRank;
    if (layer.is_conv) b[2] = b[3] = 1;
    layer.adapter = std::make_shared<Adapter>();
    layer.adapter->a = at::randn(a) / static_cast<double>(kRank);
    layer.adapter->b = at::zeros(b);
    layer.adapter->alpha = static_cast<double>(kRank);
    layer.adapter->a.requires_grad_(true);
    layer.adapter->b.requires_grad_(true);
    parameters.push_back({name + ".lora_A.weight", layer.adapter->a});
    parameters.push_back({name + ".lora_B.weight", layer.adapter->b});
  });
  if (parameters.empty()) {
    fail_usage("--targets: no layer is called '", o.targets,
               "' (known: to_q, to_k, to_v, to_out.0, proj_in, conv1, ..., all-linear)");
  }
  return parameters;
}

struct Inputs {
  at::Tensor latents, noise, timesteps, time_ids;
  TextStates text;
};

Inputs make_inputs(const StableDiffusion& model, const Options& o) {
  const std::int64_t side = o.resolution / 8;
  const UNetConfig& unet = model.config().unet;
  Inputs in;
  in.latents = at::randn({o.batch, unet.in_channels, side, side});
  in.noise = at::randn_like(in.latents);
  in.timesteps = at::randint(0, 1000, {o.batch}, at::kLong);
  in.text.hidden = at::randn({o.batch, kTextPositions, unet.text_width}).to(model.dtype());
  if (unet.added_width > 0) {
    in.text.pooled = at::randn({o.batch, unet.added_width - 6 * unet.added_time_width});
    const auto size = static_cast<double>(o.resolution);
    in.time_ids = at::tensor({size, size, 0.0, 0.0, size, size}, at::kFloat).repeat({o.batch, 1});
  }
  return in;
}

struct Run {
  std::vector<double> seconds;  // without the first step, unless it is the only one
  double loss = 0;
};

Run train(StableDiffusion& model, const Inputs& in, ParameterPool& pool, std::int64_t steps) {
  const auto optimizer = make_optimizer("adamw");
  const NoiseSchedule schedule(model.config().schedule);
  const TrainingMode training(true);
  Run run;
  for (std::int64_t step = 0; step < steps; ++step) {
    const auto start = std::chrono::steady_clock::now();
    pool.zero_gradients();
    const at::Tensor noisy = schedule.add_noise(in.latents, in.noise, in.timesteps);
    const at::Tensor predicted = model.predict(noisy, in.timesteps, in.text, in.time_ids);
    const at::Tensor loss =
        per_sample_mse(predicted, schedule.target(in.latents, in.noise, in.timesteps)).mean();
    loss.backward();
    optimizer->step(pool, 1e-4);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (step > 0 || steps == 1) run.seconds.push_back(elapsed.count());
    run.loss = loss.item<double>();
  }
  return run;
}

Json report(const Options& o, const StableDiffusion& model, const Run& run) {
  Json result = step_times(run.seconds);
  result.update(machine_facts());
  result["preset"] = o.preset;
  result["dtype"] = o.dtype;
  result["batch"] = o.batch;
  result["resolution"] = o.resolution;
  result["targets"] = o.targets;
  result["checkpointing"] = o.checkpointing;
  result["parameters"] = model.parameters();
  result["loss"] = run.loss;
  result["images_per_s"] = static_cast<double>(o.batch) / result["step_s"].get<double>();
  result["peak_gb"] = peak_memory_gib();
  return result;
}

std::string text_of(const Json& r) {
  return machine_text(r) +
         fmt::format(
             "{} ({:.0f} M parameters), {}, batch {} at {} x {}, LoRA r={} on {}{}\n"
             "  step       {:.3f} s median of {}, {:.3f} s best\n"
             "  speed      {:.3f} pictures/s\n"
             "  memory     {:.2f} GiB peak\n",
             r["preset"].get<std::string>(), r["parameters"].get<double>() / 1e6,
             r["dtype"].get<std::string>(), r["batch"].get<int>(), r["resolution"].get<int>(),
             r["resolution"].get<int>(), kRank, r["targets"].get<std::string>(),
             r["checkpointing"].get<bool>() ? ", checkpointing" : "", r["step_s"].get<double>(),
             r["steps"].get<int>(), r["best_s"].get<double>(), r["images_per_s"].get<double>(),
             r["peak_gb"].get<double>());
}

}  // namespace

int bench_image(const Arguments& arguments) {
  const Options o = parse(arguments);
  set_threads(o.threads);
  at::manual_seed(0);
  const auto model = make_model(o);
  ParameterPool pool(add_adapters(*model, o));
  const Run run = train(*model, make_inputs(*model, o), pool, o.steps);
  const Json result = report(o, *model, run);
  std::fputs((o.json ? result.dump() + "\n" : text_of(result)).c_str(), stdout);
  return 0;
}

}  // namespace lora
