// SPDX-License-Identifier: Apache-2.0
// What a version is worth on a set of samples. The version is put into the session before
// (apply_version).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/usable_texts.h"
#include "runs/session.h"
#include "train/latent_cache.h"

namespace lora {

struct SampleScore {
  double loss_sum = 0;
  double count = 0;    // what the loss is a sum over: targets of a text, timesteps of a picture
  bool exact = false;  // a text: every target is the most likely token, as in a greedy answer

  double loss() const { return loss_sum / (count > 0 ? count : 1); }
};

struct Score {
  double loss_sum = 0, count = 0;
  std::vector<SampleScore> samples;  // in the order of the data
  double seconds = 0;

  double loss() const { return loss_sum / (count > 0 ? count : 1); }
  double exact_share() const;  // of the samples
};

// Texts as the session's template and tokenizer make them; `max_length` 0: the model's longest.
struct TextSet {
  TextSamples samples;
  std::int64_t rows = 1;  // at once, a sample each
};
// Says on the log which records and files are left out.
TextSet read_text_set(const TextSession& session, const TextsToRead& from, std::int64_t max_length);

// The usable pictures of a folder with their captions, at the model's own size. Their latents are
// computed once, for all versions.
struct PictureSet {
  std::vector<ImageRecord> records;
  std::unique_ptr<LatentCache> latents;
};
PictureSet read_picture_set(const ImageSession& session, const Path& folder);

// Cross-entropy of the targets.
Score evaluate(const TextSession& session, const TextSet& set);
// Fixed-noise loss (image_objective.h). Timesteps and noise depend on the picture alone.
Score evaluate(const ImageSession& session, const PictureSet& set);

}  // namespace lora
