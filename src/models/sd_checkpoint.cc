// SPDX-License-Identifier: Apache-2.0
#include "models/sd_checkpoint.h"

#include <algorithm>

#include "base/error.h"
#include "io/aten.h"
#include "models/sd_kinds.h"

namespace lora {
namespace {

constexpr std::string_view kUNetPrefix = "model.diffusion_model.";
constexpr std::string_view kVaePrefix = "first_stage_model.";

// What a key means where it is found. Order matters: the first that is found names the file.
struct Sign {
  std::string_view part;  // of a key
  bool at_start;
  std::string_view what;
};

constexpr Sign kSigns[] = {
    {"lora_unet_", true, "a LoRA (kohya names), not a base model; give it as init_lora_weights"},
    {"lora_te", true, "a LoRA (kohya names), not a base model; give it as init_lora_weights"},
    {".lora_A.", false, "a LoRA (PEFT names), not a base model; give it as init_lora_weights"},
    {".lora.down.", false,
     "a LoRA (diffusers names), not a base model; give it as "
     "init_lora_weights"},
    {"_lora.down.", false,
     "a LoRA (old diffusers names), not a base model; give it as "
     "init_lora_weights"},
    {"model.diffusion_model.joint_blocks.", true,
     "a Stable Diffusion 3 model; only SD 1.5, SD "
     "2.x and SDXL are supported"},
    {"double_blocks.", false, "a Flux model; only SD 1.5, SD 2.x and SDXL are supported"},
    {"conditioner.embedders.0.model.transformer.", true,
     "the SDXL refiner; give the SDXL base model"},
    {"control_model.", true, "a ControlNet, not a base model"},
    {"model.embed_tokens.", true,
     "a language model; task_type text-to-image needs a Stable "
     "Diffusion model"},
    {"model.layers.0.", true,
     "a language model; task_type text-to-image needs a Stable "
     "Diffusion model"},
    {"transformer.h.0.", true,
     "a language model; task_type text-to-image needs a Stable "
     "Diffusion model"},
};

// For files without "model.diffusion_model." keys.
constexpr Sign kPartSigns[] = {
    {"first_stage_model.", true, "a VAE alone"},
    {"encoder.down_blocks.", true, "a VAE alone"},
    {"encoder.down.", true, "a VAE alone"},
    {"down_blocks.0.", true, "a UNet alone"},
    {"input_blocks.0.", true, "a UNet alone"},
    {"text_model.", true, "a text encoder alone"},
    {"string_to_param", true, "a textual inversion embedding"},
    {"emb_params", true, "a textual inversion embedding"},
};

bool fits(const Sign& sign, const std::string& key) {
  return sign.at_start ? key.starts_with(sign.part) : key.find(sign.part) != std::string::npos;
}

const Sign* find_sign(std::span<const Sign> signs, const std::vector<TensorView>& tensors) {
  for (const Sign& sign : signs) {
    const auto fitting = [&](const TensorView& view) { return fits(sign, view.name); };
    if (std::any_of(tensors.begin(), tensors.end(), fitting)) return &sign;
  }
  return nullptr;
}

// A mapped tensor in the wanted shape: 1 x 1 convolutions and linear layers hold the same numbers.
at::Tensor shaped(const at::Tensor& tensor, at::IntArrayRef shape, const std::string& name,
                  const std::string& file) {
  if (tensor.sizes() == shape) return tensor;
  const std::size_t common = std::min<std::size_t>(tensor.sizes().size(), shape.size());
  if (common == 2 && tensor.numel() == c10::multiply_integers(shape) &&
      tensor.sizes().slice(0, 2) == shape.slice(0, 2)) {
    return tensor.view(shape);
  }
  fail(file, ": tensor '", name, "' has shape ", join(tensor.sizes()), ", expected ", join(shape),
       "; not the kind of model that it seems to be");
}

// One of the three thirds of a fused projection: q, k, v in this order.
int third_of(const std::string& name) {
  if (name.find(".q_proj.") != std::string::npos) return 0;
  if (name.find(".k_proj.") != std::string::npos) return 1;
  return 2;
}

// open_clip keeps query, key and value in one tensor, and the projection transposed.
at::Tensor open_clip_tensor(WeightFiles& weights, const std::string& original,
                            const std::string& name, const std::string& file,
                            at::IntArrayRef shape) {
  if (original.ends_with(".text_projection")) {
    if (weights.has(original + ".weight")) return weights.take(original + ".weight", shape);
    return shaped(weights.take(original).t(), shape, original, file);
  }
  if (original.find(".attn.in_proj_") == std::string::npos) {
    return shaped(weights.take(original), shape, original, file);
  }
  const at::Tensor fused = weights.take(original);
  if (fused.dim() == 0 || fused.size(0) != 3 * shape[0]) {
    fail(file, ": tensor '", original, "' has shape ", join(fused.sizes()), ", expected ",
         3 * shape[0], " rows (query, key and value in one)");
  }
  return shaped(fused.narrow(0, third_of(name) * shape[0], shape[0]), shape, original, file);
}

// A part of a single file.
class CheckpointPart : public WeightSource {
 public:
  CheckpointPart(std::shared_ptr<WeightFiles> weights, const SdConfig& config, SdPart part)
      : weights_(std::move(weights)), config_(config), part_(part) {}

  std::string where() const override { return weights_->where(); }
  bool has(const std::string& name) const override { return weights_->has(original(name)); }

  at::Tensor take(const std::string& name, at::IntArrayRef shape) override {
    const std::string stored = original(name);
    const bool open_clip =
        part_ == SdPart::text_2 || (part_ == SdPart::text && sd_kind(config_.kind).open_clip);
    if (open_clip) return open_clip_tensor(*weights_, stored, name, where(), shape);
    return shaped(weights_->take(stored), shape, stored, where());
  }

 private:
  // Some SD 1.5 files lack "text_model.".
  std::string original(const std::string& name) const {
    const std::string full = original_name(part_, config_, name);
    const std::size_t at = full.find("text_model.");
    if (part_ != SdPart::text || weights_->has(full) || at == std::string::npos) return full;
    const std::string bare = full.substr(0, at) + full.substr(at + 11);
    return weights_->has(bare) ? bare : full;
  }

  std::shared_ptr<WeightFiles> weights_;
  SdConfig config_;
  SdPart part_;
};

// A part of a diffusers folder.
class FolderPart : public WeightSource {
 public:
  FolderPart(const Path& folder, const std::string& stem) : folder_(folder), files_(folder, stem) {}

  std::string where() const override { return folder_.string(); }
  bool has(const std::string& name) const override { return files_.has(name); }
  at::Tensor take(const std::string& name, at::IntArrayRef shape) override {
    return shaped(files_.take(name), shape, name, where());
  }

 private:
  Path folder_;
  WeightFiles files_;
};

}  // namespace

SdKind identify_checkpoint(const Path& path) {
  const auto file = SafetensorsFile::open(path);
  const std::string where = path.string();
  if (const Sign* sign = find_sign(kSigns, file->tensors())) {
    fail_usage(where, ": this is ", sign->what);
  }
  const TensorView* in = file->find("model.diffusion_model.input_blocks.0.0.weight");
  if (in == nullptr) {
    const Sign* sign = find_sign(kPartSigns, file->tensors());
    fail_usage(where, ": this is ", sign != nullptr ? sign->what : "no Stable Diffusion checkpoint",
               " (no '", kUNetPrefix, "' tensors); give the whole model");
  }
  if (in->shape.size() == 4 && in->shape[1] != 4) {
    fail_usage(where, ": a model with ", in->shape[1],
               " input channels (inpainting, depth or "
               "edit), expected 4; give a text-to-image model");
  }
  if (const SdKindRow* row = sd_kind_in(*file)) return row->kind;
  fail_usage(where,
             ": a UNet without its text encoder; give the whole model (with "
             "cond_stage_model or conditioner tensors)");
}

SdCheckpoint::SdCheckpoint(const Path& path, SdConfig config)
    : weights_(std::make_shared<WeightFiles>(path)), config_(std::move(config)) {}

void SdCheckpoint::require_vae() const {
  const std::string prefix(kVaePrefix);
  const bool there =
      has(prefix + "encoder.conv_in.weight") && has(prefix + "decoder.conv_in.weight");
  if (there) return;
  fail_usage(weights_->where(), ": the file has no VAE (found no tensors ", prefix,
             "*, expected the whole model); give one with its VAE (many files lack it), or a ",
             "diffusers folder");
}

std::unique_ptr<WeightSource> SdCheckpoint::part(SdPart part) const {
  return std::make_unique<CheckpointPart>(weights_, config_, part);
}

std::unique_ptr<WeightSource> folder_part(const Path& folder, SdPart part) {
  constexpr const char* kFolders[] = {"unet", "vae", "text_encoder", "text_encoder_2"};
  const bool text = part == SdPart::text || part == SdPart::text_2;
  return std::make_unique<FolderPart>(folder / kFolders[static_cast<int>(part)],
                                      text ? "model" : "diffusion_pytorch_model");
}

}  // namespace lora
