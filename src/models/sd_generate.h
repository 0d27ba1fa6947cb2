// SPDX-License-Identifier: Apache-2.0
// Pictures from prompts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "io/image.h"
#include "models/sd_prompts.h"

namespace lora {

struct ImageRequest {
  std::string prompt, negative;
  std::int64_t steps = 20;
  double guidance = 7.5;  // 1 = none
  std::string sampler = "ddim";
  std::int64_t seed = 0;
  int width = 512, height = 512;  // multiples of 8
  std::int64_t clip_skip = 0;
  std::int64_t positions = 75;  // of the prompt: 75, 150, 225
  bool zero_terminal_snr = false;
};

// One picture. The start noise depends on seed and size alone, so that versions can be compared.
// Throws Error (usage) for a size that is no multiple of 8 or an unknown sampler.
Image generate_image(const StableDiffusion& sd, const SdPrompts& prompts,
                     const ImageRequest& request,
                     const std::function<void(std::size_t step)>& after_step = {});

// The PNG text chunk "parameters" as WebUIs write it: prompt, negative prompt, settings.
// `version`: label of the adapter ("starli_v1:0.8"); empty or "base" where there is none.
std::map<std::string, std::string> png_parameters(const ImageRequest& request,
                                                  const std::string& model,
                                                  const std::string& version = {});

// Tensors and pictures: [3, H, W] in -1..1 and back (clamped).
at::Tensor image_tensor(const Image& image);
Image image_of(const at::Tensor& pixels);

}  // namespace lora
