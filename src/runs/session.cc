// SPDX-License-Identifier: Apache-2.0
#include "runs/session.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/reading.h"
#include "io/aten.h"
#include "runs/adapter_version.h"
#include "train/adapter_parameters.h"
#include "train/precision.h"
#include "train/threads.h"

namespace lora {
namespace {

std::uintmax_t weight_bytes(const Path& folder) {
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  return bytes;
}

at::ScalarType dtype_of_session(const SessionOptions& options) {
  if (options.dtype == "f32") return at::kFloat;
  if (options.dtype == "bf16") return at::kBFloat16;
  if (options.dtype != "auto") {
    fail_usage("--dtype '", options.dtype, "': unknown (known: auto, f32, bf16)");
  }
  constexpr std::uintmax_t kSmall = std::uintmax_t{2} << 30;
  return weight_bytes(options.base) <= kSmall ? at::kFloat : at::kBFloat16;
}

}  // namespace

std::vector<NamedVersion> name_versions(const std::vector<std::string>& arguments,
                                        const Path& root) {
  std::vector<NamedVersion> versions;
  for (const std::string& argument : arguments) {
    if (argument == "base") {
      versions.push_back({"base", 0, std::nullopt});
      continue;
    }
    const WeightedVersion wanted = split_weight(argument);
    LocatedVersion located = locate_version(wanted.name, root);
    const std::string label =
        wanted.weight == 1 ? located.name : fmt::format("{}:{:g}", located.name, wanted.weight);
    versions.push_back({label, wanted.weight, std::move(located)});
  }
  if (versions.empty()) versions.push_back({"base", 0, std::nullopt});
  return versions;
}

bool is_image_base(const Path& base) {
  namespace fs = std::filesystem;
  if (!fs::exists(base)) fail_usage("--base ", base.string(), ": no such file or folder");
  if (!fs::is_directory(base)) return true;
  if (fs::exists(base / "model_index.json") || fs::exists(base / "unet")) return true;
  if (fs::exists(base / "config.json")) return false;
  fail_usage("--base ", base.string(), ": no base model (looked for config.json of a language ",
             "model, model_index.json of a diffusers folder); check the path");
}

void apply_version(const NamedVersion& version, const std::vector<NamedLayer>& layers) {
  for (const NamedLayer& named : layers) named.layer->adapter = nullptr;
  if (!version.located) return;
  const AdapterFile file = read_located(*version.located, version.located->weights);
  const std::vector<LayerShape> shapes = shapes_of(layers);
  const AdapterMatch match = match_adapter(file, shapes);
  reading([&] { require_complete(match, file, shapes); });
  attach(file, match, layers);
  for (const NamedLayer& named : layers) {
    if (named.layer->adapter != nullptr) named.layer->adapter->weight = version.weight;
  }
}

TextSession open_session(const SessionOptions& options) {
  set_threads(options.threads);
  return reading([&] {
    TextSession session;
    session.tokenizer = Tokenizer::load(options.base);
    session.prompt = std::make_unique<PromptTemplate>(options.prompt_template, session.tokenizer);
    session.model = load_causal_lm(options.base, {.dtype = dtype_of_session(options)});
    session.layers = layers_of(*session.model);
    return session;
  });
}

}  // namespace lora
