// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/text.h"
#include "io/adapters/adapter_file.h"
#include "io/adapters/algebra.h"
#include "io/adapters/bundled.h"
#include "io/adapters/cloneofsimo.h"
#include "io/adapters/dialects.h"
#include "io/adapters/module_checks.h"
#include "io/adapters/module_names.h"
#include "io/adapters/peft_config.h"
#include "io/adapters/target_names.h"
#include "io/aten.h"

namespace lora {
namespace {

// What the tensors of one module say, before they are checked.
struct Draft {
  AdapterModule module;
  at::Tensor alpha;
  std::string key;  // one of its tensors, for messages
};
using Drafts = std::map<std::string, Draft>;

at::Tensor& slot_of(Draft& draft, Slot slot) {
  switch (slot) {
    case Slot::a:
      return draft.module.a;
    case Slot::b:
      return draft.module.b;
    case Slot::mid:
      return draft.module.mid;
    case Slot::alpha:
      return draft.alpha;
    case Slot::magnitude:
      break;
  }
  return draft.module.magnitude;
}

// What a file without LoRA tensors is, from its names.
std::string describe_other(const SafetensorsFile& file) {
  struct Hint {
    std::string_view part, what;
  };
  constexpr std::array kHints = {Hint{"model.diffusion_model.", "a Stable Diffusion checkpoint"},
                                 Hint{"model.layers.", "the weights of a language model"},
                                 Hint{"lm_head.", "the weights of a language model"},
                                 Hint{"transformer.h.", "the weights of a language model"},
                                 Hint{"down_blocks.", "the weights of a UNet or VAE"},
                                 Hint{"text_model.", "the weights of a text encoder"},
                                 Hint{"emb_params", "a textual inversion embedding"}};
  if (file.tensors().empty()) return "the file has no tensors";
  for (const Hint& hint : kHints) {
    for (const TensorView& view : file.tensors()) {
      if (view.name.find(hint.part) != std::string::npos) return join("this is ", hint.what);
    }
  }
  return join("found ", file.tensors().size(), " tensors such as '", file.tensors()[0].name, "'");
}

class Reader {
 public:
  Reader(const Path& path, const ReadOptions& options)
      : options_(options), where_(path.string()), file_(SafetensorsFile::open(path)) {
    adapter_.path = path;
    adapter_.metadata = file_->metadata();
  }

  AdapterFile read() {
    // The configuration tells another kind of adapter by its name: it is looked at first.
    if (adapter_.path.filename() == "adapter_model.safetensors") read_config();
    for (const TensorView& view : file_->tensors()) sort_in(view);
    if (drafts_.empty()) {
      fail(where_, ": not a LoRA adapter (", describe_other(*file_),
           ", expected LoRA tensors); give the adapter's file");
    }
    for (auto& [path, draft] : drafts_) finish(path, draft);
    for (const std::string& name : dialects_) {
      adapter_.dialect += (adapter_.dialect.empty() ? "" : " + ") + name;
    }
    find_kind();
    set_scales();
    return std::move(adapter_);
  }

 private:
  std::optional<ParsedKey> parse(const std::string& name) {
    const std::string key = without_wrappers(name);
    for (const KeyDialect& dialect : key_dialects()) {
      if (auto parsed = dialect.parse(key)) {
        dialects_.emplace(dialect.name);
        return parsed;
      }
    }
    auto parsed = cloneofsimo_key(key, adapter_.metadata, where_);
    if (parsed) dialects_.emplace("cloneofsimo");
    return parsed;
  }

  void sort_in(const TensorView& view) {
    if (const std::string_view foreign = foreign_adapter(view.name); !foreign.empty()) {
      fail(where_, ": tensor '", view.name, "' belongs to ", foreign,
           " (expected LoRA); only LoRA and DoRA adapters can be used here");
    }
    const at::Tensor tensor = map_tensor(file_, view).clone();
    const auto parsed = parse(view.name);
    if (!parsed) {
      const bool lora = lower_ascii(view.name).find("lora") != std::string::npos;
      if (lora && !is_bundled_embedding(view.name)) fail_unknown(view.name);
      adapter_.others[view.name] = tensor;
      return;
    }
    Draft& draft = drafts_[parsed->module];
    at::Tensor& slot = slot_of(draft, parsed->slot);
    if (slot.defined()) {
      fail(where_, ": module '", parsed->module, "' has this tensor twice (found '", view.name,
           "' and '", draft.key, "'); keep one of the two in the file");
    }
    slot = tensor;
    draft.key = view.name;
  }

  [[noreturn]] void fail_unknown(const std::string& key) {
    std::vector<std::string> names = names_of(key_dialects());
    names.emplace_back("cloneofsimo");
    fail(where_, ": tensor '", key, "': a LoRA tensor of a dialect or model that is not known ",
         "(known dialects: ", join_words(names), "; known models: language models, Stable ",
         "Diffusion 1.x, 2.x, XL); convert the file first");
  }

  static std::vector<std::string> names_of(std::span<const KeyDialect> table) {
    std::vector<std::string> names;
    for (const KeyDialect& dialect : table) names.emplace_back(dialect.name);
    return names;
  }

  void finish(const std::string& path, Draft& draft) {
    AdapterModule& module = draft.module;
    module.path = path;
    const auto missing = [&](const char* what) {
      fail(where_, ": module '", path, "': its ", what, " is missing (found only '", draft.key,
           "'); the file is incomplete, get it again");
    };
    if (!module.a.defined()) missing("lora_A (down) tensor");
    if (!module.b.defined()) missing("lora_B (up) tensor");
    check_shapes(module, where_);
    if (!is_finite(module)) {
      fail(where_, ": module '", path, "' holds NaN or infinity; the training that wrote the file ",
           "had failed, use an earlier version");
    }
    if (draft.alpha.defined()) read_alpha(draft);
    adapter_.use_dora = adapter_.use_dora || module.magnitude.defined();
    adapter_.modules.push_back(std::move(module));
  }

  void read_alpha(Draft& draft) {
    if (draft.alpha.numel() != 1) {
      fail(where_, ": module '", draft.module.path, "': alpha is not one number (found shape ",
           shape_text(draft.alpha.sizes()), "); damaged file?");
    }
    draft.module.alpha = draft.alpha.to(at::kDouble).item<double>();
    draft.module.alpha_known = true;
    if (!(draft.module.alpha > 0 && std::isfinite(draft.module.alpha))) {
      fail(where_, ": module '", draft.module.path, "': alpha is ", draft.module.alpha,
           ", expected a number above 0; damaged file?");
    }
  }

  bool any_path(std::string_view part) const {
    return std::any_of(drafts_.begin(), drafts_.end(), [&](const auto& entry) {
      return entry.first.find(part) != std::string::npos;
    });
  }

  bool starts_any(std::string_view start) const {
    return std::any_of(drafts_.begin(), drafts_.end(),
                       [&](const auto& entry) { return entry.first.starts_with(start); });
  }

  // Width of cross attention first (768, 1024, 2048); small test models by their structure.
  void find_kind() {
    const bool unet = starts_any("unet."), text_2 = starts_any("text_encoder_2.");
    if (!unet && !text_2 && !starts_any("text_encoder.")) {
      adapter_.kind = AdapterKind::llm;
      return;
    }
    const auto declared = [&](const char* key) {
      const auto at = adapter_.metadata.find(key);
      return at == adapter_.metadata.end() ? std::string() : at->second;
    };
    const std::int64_t width = adapter_.cross_attention_width();
    if (text_2 || width == 2048 || declared("ss_base_model_version").starts_with("sdxl") ||
        any_path(".transformer_blocks.1.")) {
      adapter_.kind = AdapterKind::sdxl;
    } else if (width == 1024 || declared("ss_v2") == "True" || text_width() == 1024) {
      adapter_.kind = AdapterKind::sd2;
    } else {
      adapter_.kind = AdapterKind::sd15;
    }
  }

  std::int64_t text_width() const {
    for (const AdapterModule& module : adapter_.modules) {
      if (module.path.starts_with("text_encoder.") && module.path.ends_with(".q_proj")) {
        return module.in_features();
      }
    }
    return 0;
  }

  // alpha from adapter_config.json beside the file, from diffusers' header entry, from the
  // tensors; absent in an image file means alpha = rank, as every program reads it.
  void set_scales() {
    const auto diffusers = adapter_.metadata.find("lora_adapter_metadata");
    if (dialects_.contains("peft")) read_config();
    if (dialects_.contains("peft") && config_) {
      use_config(*config_, "", config_path().string());
    } else if (diffusers != adapter_.metadata.end()) {
      for (const char* component : {"unet", "text_encoder", "text_encoder_2"}) {
        const std::string where = where_ + ": lora_adapter_metadata";
        const auto config = parse_component_config(diffusers->second, component, where);
        if (config) use_config(*config, join(component, "."), where);
      }
    }
    const auto own = adapter_.metadata.find("lora_scripts");
    if (own != adapter_.metadata.end()) unfold(own->second);
    for (AdapterModule& module : adapter_.modules) {
      if (!module.alpha_known) assume_alpha(module);
      module.scale = lora_scale(module.alpha, module.rank(), adapter_.use_rslora);
    }
  }

  Path config_path() const { return adapter_.path.parent_path() / "adapter_config.json"; }

  void read_config() {
    if (!config_ && std::filesystem::exists(config_path())) {
      config_ = read_peft_config(config_path());
    }
  }

  // encode_diffusers multiplied the scale into B and remembered alpha.
  void unfold(const std::string& text) {
    const std::string where = where_ + ": lora_scripts";
    const auto json = parse_json_object<nlohmann::json>(text, where, "damaged file?");
    const JsonReader record(json, where, "damaged file?");
    adapter_.use_rslora = record.flag("use_rslora", false);
    const JsonReader pattern = record.inside("alpha_pattern");
    for (AdapterModule& module : adapter_.modules) {
      if (module.alpha_known) continue;
      const double alpha = pattern.positive(module.path, record.positive("alpha"));
      module = rescale(module, alpha, adapter_.use_rslora);  // from scale 1
    }
  }

  void assume_alpha(AdapterModule& module) {
    if (adapter_.kind == AdapterKind::llm && !options_.assume_alpha) {
      fail(where_, ": lora_alpha is nowhere to be found (looked in adapter_config.json beside the ",
           "file), so the strength of the adapter is not known; add \"lora_alpha\" to ",
           "adapter_config.json");
    }
    module.alpha = static_cast<double>(module.rank());
  }

  // A list of names that says all: PEFT then wrote just the modules that it names.
  bool names_all(const PeftConfig& config) const {
    if (config.targets_are_regex || config.targets_are_narrowed) return false;
    return std::ranges::all_of(adapter_.modules, [&](const AdapterModule& module) {
      return std::ranges::any_of(config.target_modules, [&](const std::string& target) {
        return is_named(target, module.path);
      });
    });
  }

  void use_config(const PeftConfig& config, const std::string& prefix, const std::string& where) {
    adapter_.use_rslora = config.use_rslora;
    adapter_.fan_in_fan_out = config.fan_in_fan_out;
    adapter_.dropout = config.dropout;
    adapter_.base_model = config.base_model;
    adapter_.task_type = config.task_type;
    if (names_all(config)) adapter_.target_modules = config.target_modules;
    for (AdapterModule& module : adapter_.modules) {
      if (!module.path.starts_with(prefix)) continue;
      const std::string path = module.path.substr(prefix.size());
      const auto rank = rank_of(config, path, where);
      if (rank && *rank != static_cast<double>(module.rank())) {
        fail(where, ": module '", path, "': rank ", *rank, " is configured but its tensors have ",
             "rank ", module.rank(), "; configuration and weights do not belong together");
      }
      if (const auto alpha = alpha_of(config, path, where)) {
        module.alpha = *alpha;
        module.alpha_known = true;
      }
      if (config.use_dora && !module.magnitude.defined()) {
        fail(where, ": module '", path, "': use_dora is configured but the DoRA magnitude is ",
             "missing; configuration and weights do not belong together");
      }
    }
  }

  ReadOptions options_;
  std::string where_;
  std::shared_ptr<const SafetensorsFile> file_;
  AdapterFile adapter_;
  std::optional<PeftConfig> config_;  // adapter_config.json beside the file
  Drafts drafts_;
  std::set<std::string> dialects_;
};

std::vector<std::string> safetensors_in(const Path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Path find_adapter_file(const Path& path) {
  namespace fs = std::filesystem;
  const std::string where = path.string();
  if (!fs::exists(path)) fail(where, ": no such file or folder; check the path");
  if (!fs::is_directory(path)) return path;
  for (const char* name : {"adapter_model.safetensors", "pytorch_lora_weights.safetensors"}) {
    if (fs::exists(path / name)) return path / name;
  }
  for (const char* name : {"adapter_model.bin", "pytorch_lora_weights.bin"}) {
    if (fs::exists(path / name)) {
      fail(where, ": holds only ", name, ", a pickle, which can run code when loaded; convert it ",
           "to safetensors with the program it came from");
    }
  }
  const std::vector<std::string> found = safetensors_in(path);
  if (found.size() == 1) return path / found[0];
  if (!found.empty() && fs::exists(path / "config.json")) {
    fail(where,
         ": this is the folder of a base model, not of an adapter; give the adapter's folder");
  }
  fail(where, ": no adapter here (looked for adapter_model.safetensors and ",
       "pytorch_lora_weights.safetensors, found ",
       found.empty() ? "no safetensors file" : join_words(found), "); give the adapter's file");
}

AdapterFile read_adapter(const Path& path, const ReadOptions& options) {
  const Path file = find_adapter_file(path);
  if (file.extension() == ".gguf") {
    fail(file.string(), ": GGUF adapters are for llama.cpp and cannot be loaded here; give the ",
         "adapter_model.safetensors that it was made from");
  }
  return Reader(file, options).read();
}

}  // namespace lora
