// SPDX-License-Identifier: Apache-2.0
#include "models/sd_checkpoint.h"

#include <algorithm>

#include "base/error.h"
#include "io/aten.h"

namespace lora {
namespace {

constexpr std::string_view kUNetPrefix = "model.diffusion_model.";

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
at::Tensor open_clip_tensor(Weights& weights, const std::string& original, const std::string& name,
                            const std::string& file, at::IntArrayRef shape) {
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
  if (file->find("conditioner.embedders.1.model.ln_final.weight") != nullptr) return SdKind::sdxl;
  if (file->find("cond_stage_model.model.ln_final.weight") != nullptr) return SdKind::sd2;
  for (const char* name : {"cond_stage_model.transformer.text_model.final_layer_norm.weight",
                           "cond_stage_model.transformer.final_layer_norm.weight"}) {
    if (file->find(name) != nullptr) return SdKind::sd1;
  }
  fail_usage(where,
             ": a UNet without its text encoder; give the whole model (with "
             "cond_stage_model or conditioner tensors)");
}

SdCheckpoint::SdCheckpoint(const Path& path, SdConfig config)
    : weights_(std::make_shared<Weights>(Weights::open(path))), config_(std::move(config)) {}

SdModules SdCheckpoint::part(SdPart part, at::ScalarType dtype, at::Device device) const {
  SdModules source;
  source.dtype = dtype;
  source.device = device;
  const std::string file = weights_->files().front().string();
  source.where = file;
  const auto place = [weights = weights_, config = config_, part](const std::string& name) {
    const std::string original = original_name(part, config, name);
    if (part == SdPart::text && !weights->has(original)) {
      // Some SD 1.5 files lack "text_model.".
      const std::size_t at = original.find("text_model.");
      if (at != std::string::npos) {
        const std::string bare = original.substr(0, at) + original.substr(at + 11);
        if (weights->has(bare)) return bare;
      }
    }
    return original;
  };
  source.has = [weights = weights_, place](const std::string& name) {
    return weights->has(place(name));
  };
  const bool open_clip =
      part == SdPart::text_2 || (part == SdPart::text && config_.kind == SdKind::sd2);
  source.take = [weights = weights_, place, open_clip, file](const std::string& name,
                                                             at::IntArrayRef shape) {
    const std::string original = place(name);
    if (open_clip) return open_clip_tensor(*weights, original, name, file, shape);
    return shaped(weights->take(original), shape, original, file);
  };
  return source;
}

SdModules folder_part(const Path& folder, SdPart part, at::ScalarType dtype, at::Device device) {
  constexpr const char* kFolders[] = {"unet", "vae", "text_encoder", "text_encoder_2"};
  const bool text = part == SdPart::text || part == SdPart::text_2;
  const Path place = folder / kFolders[static_cast<int>(part)];
  const auto weights =
      std::make_shared<Weights>(Weights::open(place, text ? "model" : "diffusion_pytorch_model"));
  SdModules source;
  source.dtype = dtype;
  source.device = device;
  source.where = place.string();
  source.has = [weights](const std::string& name) { return weights->has(name); };
  source.take = [weights, place](const std::string& name, at::IntArrayRef shape) {
    return shaped(weights->take(name), shape, name, place.string());
  };
  return source;
}

}  // namespace lora
