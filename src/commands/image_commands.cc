// SPDX-License-Identifier: Apache-2.0
#include "commands/image_commands.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "commands/cli.h"
#include "commands/image_data.h"
#include "commands/reading.h"
#include "io/contact_sheet.h"
#include "models/samplers.h"
#include "train/adapter_parameters.h"
#include "train/image_objective.h"
#include "train/precision.h"
#include "train/threads.h"

namespace lora {
namespace {

using Json = nlohmann::json;

struct ImageArguments {
  std::string base, output, size, root = "output", dtype = "auto";
  std::vector<std::string> versions, prompts;
  ImageRequest request;
  std::int64_t count = 1;
  int threads = 0;
  bool json = false;
};

at::ScalarType image_dtype(const std::string& name) {
  if (name == "f32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  if (name != "auto") fail_usage("--dtype '", name, "': unknown (known: auto, f32, bf16)");
  return choose_precision("auto", at::kCPU, cpu_features()).dtype;
}

ImageArguments parse(const Arguments& arguments) {
  ImageArguments a;
  CLI::App app;
  app.add_option("--base", a.base);
  app.add_option("--version", a.versions)->allow_extra_args(false);
  app.add_option("--prompt", a.prompts)->allow_extra_args(false);
  app.add_option("--negative", a.request.negative);
  app.add_option("--steps", a.request.steps)->check(CLI::PositiveNumber);
  app.add_option("--guidance", a.request.guidance)->check(CLI::NonNegativeNumber);
  app.add_option("--sampler", a.request.sampler);
  app.add_option("--seed", a.request.seed);
  app.add_option("--size", a.size);
  app.add_option("--clip-skip", a.request.clip_skip);
  app.add_option("--count", a.count)->check(CLI::PositiveNumber);
  app.add_option("--output", a.output);
  app.add_option("--dtype", a.dtype);
  app.add_option("--threads", a.threads)->check(CLI::NonNegativeNumber);
  app.add_option("--root", a.root);
  app.add_flag("--json", a.json);
  parse_arguments(app, "generate", arguments);
  if (a.prompts.empty()) fail_usage("lora generate: --prompt is missing; write what to draw");
  if (a.output.empty()) fail_usage("lora generate: --output is missing; name the PNG to write");
  if (std::filesystem::exists(a.output)) {
    fail_usage(a.output, ": exists already and is never overwritten; choose another --output");
  }
  return a;
}

// The model's own size, or the one asked for.
void set_size(ImageArguments& a, const StableDiffusion& sd) {
  const auto side = static_cast<int>(sd.config().unet.sample_size * sd.pixels_per_latent());
  const Size size = a.size.empty() ? Size{side, side} : parse_size(a.size, "--size");
  a.request.width = size.width;
  a.request.height = size.height;
}

std::vector<std::string> column_titles(const ImageArguments& a) {
  std::vector<std::string> titles;
  for (const std::string& prompt : a.prompts) {
    for (std::int64_t i = 0; i < a.count; ++i) {
      titles.push_back(fmt::format("{}  (seed {})", prompt, a.request.seed + i));
    }
  }
  return titles;
}

std::vector<Image> draw_row(const ImageArguments& a, const StableDiffusion& sd,
                            const SdPrompts& prompts) {
  std::vector<Image> images;
  for (const std::string& prompt : a.prompts) {
    for (std::int64_t i = 0; i < a.count; ++i) {
      ImageRequest request = a.request;
      request.prompt = prompt;
      request.seed += i;
      images.push_back(generate_image(sd, prompts, request));
    }
  }
  return images;
}

// One picture as it is; several as a labelled sheet.
void write_result(const ImageArguments& a, const std::vector<SheetRow>& rows) {
  ImageRequest request = a.request;
  request.prompt = a.prompts.front();
  const auto text = png_parameters(request, Path(a.base).filename().string());
  const bool single = rows.size() == 1 && rows.front().images.size() == 1;
  write_png(a.output, single ? rows[0].images[0] : contact_sheet(column_titles(a), rows), text);
}

}  // namespace

int generate_images(const Arguments& arguments) {
  ImageArguments a = parse(arguments);
  set_threads(a.threads);
  const std::vector<NamedVersion> versions = name_versions(a.versions, a.root);
  const auto sd =
      reading([&] { return StableDiffusion::load(a.base, {.dtype = image_dtype(a.dtype)}); });
  const SdPrompts prompts = reading([&] { return SdPrompts::load(a.base, sd->kind()); });
  const std::vector<NamedLayer> layers = layers_of(*sd);
  set_size(a, *sd);
  const auto start = std::chrono::steady_clock::now();
  std::vector<SheetRow> rows;
  for (const NamedVersion& version : versions) {
    apply_version(version, layers);
    rows.push_back({version.label, draw_row(a, *sd, prompts)});
    info(fmt::format("{}: {} pictures", version.label, rows.back().images.size()));
  }
  write_result(a, rows);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!a.json) {
    std::cout << a.output << "\n";
    return 0;
  }
  Json json = {{"output", a.output},
               {"seconds", seconds},
               {"size", {a.request.width, a.request.height}},
               {"pictures", rows.size() * rows.front().images.size()}};
  for (const SheetRow& row : rows) json["versions"].push_back(row.label);
  std::cout << json.dump(2) << "\n";
  return 0;
}

int eval_images(const std::string& base, const std::vector<NamedVersion>& versions,
                const std::vector<std::string>& folders, bool json) {
  set_threads(0);
  const auto sd = reading([&] { return StableDiffusion::load(base, {.dtype = at::kFloat}); });
  const SdPrompts prompts = reading([&] { return SdPrompts::load(base, sd->kind()); });
  const std::vector<NamedLayer> layers = layers_of(*sd);
  ImageDataOptions options;
  options.rule.resolution =
      static_cast<int>(sd->config().unet.sample_size * sd->pixels_per_latent());
  options.upscale = true;
  options.captions.clean = false;
  LatentCache cache({}, "", options);
  const NoiseSchedule schedule(sd->config().schedule);
  std::vector<Json> results(versions.size() * folders.size());
  for (std::size_t v = 0; v < versions.size(); ++v) {
    apply_version(versions[v], layers);
    for (std::size_t f = 0; f < folders.size(); ++f) {
      options.folder = folders[f];
      ImageFactsCache facts;
      std::vector<ImageRecord> records;
      const ImageScan scan = scan_images(options, facts);
      for (const ImageRecord* record : scan.used()) records.push_back(*record);
      const at::NoGradGuard no_grad;
      const Loss loss = fixed_noise_loss(
          *sd, schedule, records, cache,
          [&](const std::string& caption) { return encode_prompts(*sd, prompts, {caption}); });
      results[f * versions.size() + v] = {{"base", base},
                                          {"version", versions[v].label},
                                          {"data", folders[f]},
                                          {"loss", loss.sum.item<double>() / loss.count},
                                          {"pictures", records.size()}};
    }
  }
  if (json) {
    std::cout << (results.size() == 1 ? results[0] : Json{{"results", results}}).dump(2) << "\n";
    return 0;
  }
  for (const Json& r : results) {
    std::cout << fmt::format("{:<28} loss {:.5f}  {} pictures of {}\n",
                             r["version"].get<std::string>(), r["loss"].get<double>(),
                             r["pictures"].get<int>(), r["data"].get<std::string>());
  }
  return 0;
}

}  // namespace lora
