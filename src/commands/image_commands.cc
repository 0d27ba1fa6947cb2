// SPDX-License-Identifier: Apache-2.0
#include "commands/image_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/progress.h"
#include "base/reading.h"
#include "base/text.h"
#include "commands/cli.h"
#include "io/aten.h"
#include "io/contact_sheet.h"
#include "models/samplers.h"
#include "runs/image_data.h"
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
  bool to_folder = false;  // every picture on its own, and the sheet
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
  if (a.output.empty()) {
    fail_usage("lora generate: --output is missing; name the PNG, or the folder, to write");
  }
  if (std::filesystem::exists(a.output)) {
    fail_usage(a.output, ": exists already and is never overwritten; choose another --output");
  }
  const std::string ending = lower_ascii(Path(a.output).extension().string());
  if (!ending.empty() && ending != ".png") {
    fail_usage("--output ", a.output, ": only PNG is written (found the ending '", ending,
               "', expected .png, or a folder's name without an ending); rename it");
  }
  a.to_folder = ending.empty();
  return a;
}

// The model's own size, or the one asked for.
void set_size(ImageArguments& a, const StableDiffusion& sd) {
  const auto side = static_cast<int>(sd.config().unet.sample_size * sd.pixels_per_latent());
  const Size size = a.size.empty() ? Size{side, side} : parse_size(a.size, "--size");
  a.request.width = size.width;
  a.request.height = size.height;
}

std::string title(const ImageRequest& request) {
  return fmt::format("{}  (seed {})", request.prompt, request.seed);
}

// The columns: every prompt with every seed.
std::vector<ImageRequest> requests_of(const ImageArguments& a) {
  std::vector<ImageRequest> requests;
  for (const std::string& prompt : a.prompts) {
    for (std::int64_t i = 0; i < a.count; ++i) {
      ImageRequest& request = requests.emplace_back(a.request);
      request.prompt = prompt;
      request.seed += i;
    }
  }
  return requests;
}

std::string model_name(const ImageArguments& a) { return Path(a.base).filename().string(); }

// "starli_v1:0.8" cannot stand in a file name everywhere.
Path picture_path(const ImageArguments& a, const std::string& label, std::size_t number) {
  std::string name = fmt::format("{:04}-{}.png", number, label);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ':' || c == '/'; }, '_');
  return Path(a.output) / name;
}

// Draws one row; into a folder each picture is written as soon as it is drawn.
SheetRow draw_row(const ImageArguments& a, const StableDiffusion& sd, const SdPrompts& prompts,
                  const std::string& label, std::size_t drawn, Progress& progress) {
  SheetRow row{label, {}};
  for (const ImageRequest& request : requests_of(a)) {
    const std::size_t number = drawn + row.images.size();
    const auto after_step = [&](std::size_t step) {
      const auto done = std::min(static_cast<std::int64_t>(step) + 1, request.steps);
      progress.update(static_cast<std::int64_t>(number) * request.steps + done, label);
    };
    row.images.push_back(generate_image(sd, prompts, request, after_step));
    if (a.to_folder) {
      write_png(picture_path(a, label, number + 1), row.images.back(),
                png_parameters(request, model_name(a), label));
    }
  }
  return row;
}

// One picture as it is; several as a labelled sheet.
void write_result(const ImageArguments& a, const std::vector<SheetRow>& rows) {
  const std::vector<ImageRequest> requests = requests_of(a);
  const bool single = rows.size() == 1 && requests.size() == 1;
  if (a.to_folder && single) return;
  std::vector<std::string> titles(requests.size());
  std::transform(requests.begin(), requests.end(), titles.begin(), title);
  write_png(a.to_folder ? Path(a.output) / "sheet.png" : Path(a.output),
            single ? rows[0].images[0] : contact_sheet(titles, rows),
            png_parameters(requests.front(), model_name(a), rows.front().label));
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
  if (a.to_folder) std::filesystem::create_directories(a.output);
  const auto start = std::chrono::steady_clock::now();
  const std::size_t columns = a.prompts.size() * static_cast<std::size_t>(a.count);
  Progress progress("drawing",
                    static_cast<std::int64_t>(versions.size() * columns) * a.request.steps);
  std::vector<SheetRow> rows;
  for (const NamedVersion& version : versions) {
    apply_version(version, layers);
    rows.push_back(draw_row(a, *sd, prompts, version.label, rows.size() * columns, progress));
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
               {"pictures", rows.size() * columns}};
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
