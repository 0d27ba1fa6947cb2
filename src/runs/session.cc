// SPDX-License-Identifier: Apache-2.0
#include "runs/session.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/reading.h"
#include "io/adapters/bundled.h"
#include "runs/adapter_version.h"
#include "train/adapter_parameters.h"
#include "versions/verify.h"

namespace lora {
namespace {

std::uintmax_t weight_bytes(const Path& folder) {
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  return bytes;
}

// `automatic`: what mixed_precision is where dtype is "auto".
Machine machine_of(const SessionOptions& options, const std::string& automatic) {
  MachineConfig config{
      .device = options.device, .mixed_precision = automatic, .threads = options.threads};
  if (options.dtype == "f32") {
    config.mixed_precision = "no";
  } else if (options.dtype == "bf16") {
    config.mixed_precision = "bf16";
  } else if (options.dtype != "auto") {
    fail_usage("--dtype '", options.dtype, "': unknown (known: auto, f32, bf16)");
  }
  return choose_machine(config);
}

// Float32 where there is room for it; large models are stored in 16 bits, which only a GPU may be
// unable to compute in bfloat16.
std::string precision_of_texts(const SessionOptions& options) {
  constexpr std::uintmax_t kSmall = std::uintmax_t{2} << 30;
  if (weight_bytes(options.base) <= kSmall) return "no";
  return choose_device(options.device).is_cuda() ? "auto" : "bf16";
}

// What a version of an earlier release may still be called.
[[noreturn]] void refuse_weight_of_base(const std::string& argument, const Path& root) {
  constexpr std::string_view kBase = "base", kHead = "base:";
  const std::string factor = argument.substr(kHead.size());
  const Path folder = root / kBase;
  const std::string other =
      is_committed(folder)
          ? join(", or ", folder.string(), ":", factor, " for the version of this name")
          : "";
  fail_usage("--version ", argument, ": the base model without an adapter takes no weight (found ",
             factor, ", expected base alone); write base", other);
}

}  // namespace

std::vector<NamedVersion> name_versions(const std::vector<std::string>& arguments,
                                        const Path& root) {
  std::vector<NamedVersion> versions;
  for (const std::string& argument : arguments) {
    if (argument == "base") {
      if (is_committed(root / argument)) {
        warn("--version base: the base model without an adapter; write " +
             (root / argument).string() + " for the version of this name");
      }
      versions.push_back({"base", 0, std::nullopt});
      continue;
    }
    const WeightedVersion wanted = split_weight(argument);
    if (wanted.name == "base") refuse_weight_of_base(argument, root);
    LocatedVersion located = locate_version(wanted.name, root);
    if (located.version) require_recorded(located.folder, *located.version);
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
  for (const NamedLayer& named : layers) named.layer->adapters.clear();
  if (!version.located) return;
  const AdapterFile file = read_located(*version.located, version.located->weights);
  const std::vector<LayerShape> shapes = shapes_of(layers);
  const AdapterMatch match = match_adapter(file, shapes);
  reading([&] { require_complete(match, file, shapes); });
  if (const std::string told = left_aside(file); !told.empty()) warn(told);
  attach(file, match, layers, {.weight = version.weight, .trains = false});
}

int ImageSession::side() const {
  return static_cast<int>(sd->config().unet.sample_size * sd->pixels_per_latent());
}

TextSession open_text_session(const SessionOptions& options) {
  return reading([&] {
    TextSession session;
    session.machine = machine_of(options, precision_of_texts(options));
    session.tokenizer = Tokenizer::load(options.base);
    session.prompt = std::make_unique<PromptTemplate>(options.prompt_template, session.tokenizer,
                                                      options.template_date);
    session.model = load_causal_lm(
        options.base, {.dtype = session.machine.precision.dtype, .device = session.machine.device});
    session.layers = layers_of(*session.model);
    return session;
  });
}

ImageSession open_image_session(const SessionOptions& options) {
  return reading([&] {
    ImageSession session;
    session.base = name_of(options.base);
    session.machine = machine_of(options, "auto");
    session.sd = StableDiffusion::load(
        options.base, {.dtype = session.machine.precision.dtype, .device = session.machine.device});
    session.prompts = SdPrompts::load(options.base, session.sd->kind());
    session.layers = layers_of(*session.sd);
    return session;
  });
}

}  // namespace lora
