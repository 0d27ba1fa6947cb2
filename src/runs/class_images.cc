// SPDX-License-Identifier: Apache-2.0
#include "runs/class_images.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"

namespace lora {
namespace {

std::int64_t count_pictures(const Path& folder) {
  std::int64_t count = 0;
  if (!std::filesystem::is_directory(folder)) return 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string ending = entry.path().extension().string();
    count += ending == ".png" || ending == ".jpg" || ending == ".jpeg" || ending == ".webp";
  }
  return count;
}

}  // namespace

Path class_images(const Config& config, const StableDiffusion& sd, const SdPrompts& prompts) {
  if (config.prior.class_prompt.empty()) {
    fail_usage(
        "prior_preservation: class_prompt is missing; write what the class is, such as "
        "'a chibi girl'");
  }
  Path folder = config.prior.class_data_dir;
  if (folder.empty()) {
    const std::string key = sha256(
        join(config.base_model, "|", config.prior.class_prompt, "|", config.images.resolution));
    folder = output_root(config) / ".cache" / "class_images" / key.substr(0, 16);
  }
  const auto side = static_cast<int>(config.images.resolution);
  for (std::int64_t i = count_pictures(folder); i < config.prior.num_class_images; ++i) {
    const ImageRequest request{.prompt = config.prior.class_prompt,
                               .steps = config.sampling.sample_steps,
                               .guidance = config.sampling.sample_guidance,
                               .sampler = config.sampling.sample_sampler,
                               .seed = config.seed + 1'000'000 + i,
                               .width = side,
                               .height = side,
                               .clip_skip = config.images.clip_skip,
                               .positions = config.images.max_token_length,
                               .zero_terminal_snr = config.images.zero_terminal_snr};
    write_png(folder / fmt::format("class_{:05}.png", i), generate_image(sd, prompts, request),
              png_parameters(request, config.base_model));
    if (i == 0 || (i + 1) % 10 == 0) {
      info(fmt::format("class pictures: {} of {} drawn", i + 1, config.prior.num_class_images));
    }
  }
  return folder;
}

}  // namespace lora
