// SPDX-License-Identifier: Apache-2.0
// Trains Stable Diffusion on pictures.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/image_source.h"
#include "models/sd_generate.h"
#include "nn/attach.h"
#include "train/diffusion_loss.h"
#include "train/latent_cache.h"
#include "train/objective.h"

namespace lora {

// Pictures of one role, and where their latents come from.
struct ImageSet {
  std::vector<ImageRecord> records;
  LatentCache* cache = nullptr;
};

struct ImageTask {
  StableDiffusion& sd;
  const SdPrompts& prompts;
  ImageSource& source;
  ImageSet fresh, old, prior, validation;
  ScheduleConfig schedule;
  std::int64_t seed = 42, positions = 75, clip_skip = 0;
  double noise_offset = 0;
  bool train_text = false;  // else text states are computed once a caption
  DiffusionOptions loss;
  std::vector<ImageRequest> samples;
  std::string name;  // of the version, for the samples' text chunks
};

// Units are images. The numbers of a micro-batch (noise, timesteps, latent samples) depend on the
// seed and the batch's number alone. Samples go to step-000120-0.png.
class ImageObjective final : public Objective {
 public:
  explicit ImageObjective(ImageTask task);

  Loss next() override;
  std::int64_t last_units() const override { return last_units_; }
  std::string unit() const override { return "images"; }
  std::string describe_last() const override { return last_; }
  void shard(std::int64_t rank, std::int64_t size) override {
    task_.source.order().shard(rank, size);
  }
  double epoch() const override { return task_.source.order().epoch(); }
  std::int64_t micro_batches_of(std::int64_t epoch) const override {
    return task_.source.order().batches_of(epoch);
  }
  nlohmann::json state() const override;
  void restore(const nlohmann::json& state) override;
  // Fixed noise at four timesteps of every picture (an eighth, three, five and seven eighths of the
  // schedule): curves of versions can be compared. The noise depends on the picture alone.
  std::vector<Validation> validate() override;
  std::vector<std::string> sample(const Path& folder, std::int64_t step) override;

 private:
  Loss loss_of(const std::vector<ImageItem>& items, std::int64_t number);
  const ImageSet& set_of(ImageRole role) const;
  TextStates text_of(const std::vector<std::string>& captions);

  ImageTask task_;
  NoiseSchedule schedule_;
  std::map<std::string, TextStates> text_cache_;
  std::int64_t last_units_ = 0;
  std::string last_;
};

// The validation loss of ImageObjective for any list of pictures: sum over pictures and timesteps.
Loss fixed_noise_loss(const StableDiffusion& sd, const NoiseSchedule& schedule,
                      const std::vector<ImageRecord>& records, LatentCache& cache,
                      const std::function<TextStates(const std::string& caption)>& text);

// The layers whose adapters the loss depends on: all but the last text layers that clip_skip (SDXL:
// its own rule) leaves out. The others have no gradient, and weight decay must not touch them.
std::vector<NamedLayer> learning_layers(const StableDiffusion& sd, std::int64_t clip_skip,
                                        const std::vector<NamedLayer>& layers);

// SDXL's description of a picture: original size, crop, target size. [1, 6]
at::Tensor picture_time_ids(const ImageRecord& record);

}  // namespace lora
