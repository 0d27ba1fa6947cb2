// SPDX-License-Identifier: Apache-2.0
#include "train/latent_cache.h"

#include "base/draft.h"
#include "base/error.h"
#include "io/aten.h"
#include "io/tensors.h"
#include "models/sd_generate.h"

namespace lora {
namespace {

std::optional<LatentDistribution> read(const Path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    const TensorMap tensors = read_tensors(path);
    return LatentDistribution{tensors.at("mean"), tensors.at("logvar")};
  } catch (const std::exception&) {
    return std::nullopt;  // cut off or not ours: made again
  }
}

}  // namespace

LatentCache::LatentCache(Path folder, std::string vae, const ImageDataOptions& options)
    : folder_(std::move(folder)),
      settings_(std::move(vae) + pixel_settings(options)),
      options_(options) {
  if (!folder_.empty()) remove_dead_drafts(folder_);
}

std::string LatentCache::key(const ImageRecord& record, bool flipped) const {
  const Fit& fit = record.fit;
  return sha256(join(settings_, record.sha256, "|", fit.resized.width, "x", fit.resized.height, "|",
                     fit.bucket.width, "x", fit.bucket.height, "|", fit.left, ",", fit.top,
                     flipped ? "|flipped" : ""));
}

const LatentDistribution& LatentCache::of(const StableDiffusion& sd, const ImageRecord& record,
                                          bool flipped) {
  const std::string name = key(record, flipped);
  const auto at = known_.find(name);
  if (at != known_.end()) return at->second;
  const Path path = folder_ / (name + ".safetensors");
  if (!folder_.empty()) {
    if (auto stored = read(path)) return known_.emplace(name, std::move(*stored)).first->second;
  }
  const at::NoGradGuard no_grad;
  Image image = training_image(record, options_);
  if (flipped) image = flip_horizontally(image);
  LatentDistribution latents = sd.encode_image(image_tensor(image).unsqueeze(0).to(sd.device()));
  latents = {latents.mean.cpu(), latents.logvar.cpu()};
  if (!folder_.empty()) {
    write_tensors(path, {{"mean", latents.mean}, {"logvar", latents.logvar}});
  }
  return known_.emplace(name, std::move(latents)).first->second;
}

}  // namespace lora
