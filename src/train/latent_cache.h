// SPDX-License-Identifier: Apache-2.0
// Latents of the training pictures. What is kept is the distribution (mean and logvar), so that a
// new sample is drawn at every step, as without a cache.
#pragma once

#include <map>
#include <string>

#include "data/image_dataset.h"
#include "models/stable_diffusion.h"

namespace lora {

// Keyed by the picture's bytes, everything that changes its pixels, and the VAE: a changed
// picture, VAE or resolution never meets a stale entry. On disk one safetensors file a picture,
// written atomically; damaged files are made again.
class LatentCache {
 public:
  // `folder` empty: memory only. `vae`: hash of the VAE's weights.
  LatentCache(Path folder, std::string vae, const ImageDataOptions& options);

  // Distribution [1, 4, h, w] of the picture (mirrored if `flipped`), encoded where it is not
  // known yet.
  const LatentDistribution& of(const StableDiffusion& sd, const ImageRecord& record, bool flipped);

 private:
  std::string key(const ImageRecord& record, bool flipped) const;

  Path folder_;
  std::string settings_;
  ImageDataOptions options_;
  std::map<std::string, LatentDistribution> known_;
};

}  // namespace lora
