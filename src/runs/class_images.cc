// SPDX-License-Identifier: Apache-2.0
#include "runs/class_images.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"

namespace lora {
namespace {

ImageRequest request_of(const Config& config, std::int64_t number) {
  const auto side = static_cast<int>(config.images.resolution);
  return {.prompt = config.prior.class_prompt,
          .steps = config.sampling.sample_steps,
          .guidance = config.sampling.sample_guidance,
          .sampler = config.sampling.sample_sampler,
          .seed = config.seed + 1'000'000 + number,
          .width = side,
          .height = side,
          .clip_skip = config.images.clip_skip,
          .positions = config.images.max_token_length,
          .zero_terminal_snr = config.images.zero_terminal_snr};
}

// Of everything that changes the pictures.
std::string drawing_key(const Config& config) {
  const ImageRequest r = request_of(config, 0);
  return sha256(join(config.base_model, "|", r.prompt, "|", r.steps, "|", r.guidance, "|",
                     r.sampler, "|", r.seed, "|", r.width, "|", r.clip_skip, "|", r.positions, "|",
                     r.zero_terminal_snr))
      .substr(0, 16);
}

Path picture_of(const DrawnPictures& plan, std::int64_t number) {
  return plan.folder / fmt::format("class_{:05}.png", number);
}

}  // namespace

DrawnPictures plan_class_images(const Config& config, std::int64_t own) {
  DrawnPictures plan;
  plan.folder = output_root(config) / ".cache" / "class_images" / drawing_key(config);
  plan.wanted = std::max<std::int64_t>(0, config.prior.num_class_images - own);
  for (std::int64_t i = 0; i < plan.wanted; ++i) {
    plan.missing += !std::filesystem::exists(picture_of(plan, i));
  }
  return plan;
}

void draw_class_images(const Config& config, const DrawnPictures& plan, const StableDiffusion& sd,
                       const SdPrompts& prompts) {
  std::int64_t drawn = 0;
  for (std::int64_t i = 0; i < plan.wanted; ++i) {
    if (std::filesystem::exists(picture_of(plan, i))) continue;
    const ImageRequest request = request_of(config, i);
    write_png(picture_of(plan, i), generate_image(sd, prompts, request),
              png_parameters(request, config.base_model));
    ++drawn;
    if (drawn == 1 || drawn % 10 == 0) {
      info(fmt::format("class pictures: {} of {} drawn", drawn, plan.missing));
    }
  }
}

std::string class_images_text(const Config& config, const DrawnPictures& plan, std::int64_t own) {
  std::string text = "class pictures: ";
  const std::string& folder = config.prior.class_data_dir;
  if (!folder.empty()) text += fmt::format("{} in {}", own, folder);
  if (plan.wanted == 0) return text;
  if (!folder.empty()) text += ", ";
  return text + fmt::format("{} to be drawn into {} ({} are there), as '{}'", plan.missing,
                            plan.folder.string(), plan.wanted - plan.missing,
                            config.prior.class_prompt);
}

}  // namespace lora
