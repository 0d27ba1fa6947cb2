// SPDX-License-Identifier: Apache-2.0
#include "data/image_source.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "data/caption_rules.h"
#include "data/shuffle.h"

namespace lora {
namespace {

double unit(Random& random) { return static_cast<double>(random.next() >> 11) * 0x1p-53; }

// Batches of one size: each is handed out as soon as it is full, what is left at the end.
struct ImageBatches {
  std::vector<Size> buckets;  // of every picture
  std::int64_t batch_size, seed;
  bool shuffled;

  EpochPlan operator()(const SampleOrder& order, std::int64_t epoch) const {
    EpochPlan plan;
    std::map<Size, BatchRows> open;
    for (const std::size_t number : order) {
      BatchRows& batch = open[buckets[number]];
      batch.push_back({number});
      if (static_cast<std::int64_t>(batch.size()) == batch_size) {
        plan.push_back(std::exchange(batch, {}));
      }
    }
    for (auto& [bucket, batch] : open) {
      if (!batch.empty()) plan.push_back(std::move(batch));
    }
    if (shuffled && open.size() > 1) shuffle(plan, Random(seed, "buckets", epoch));
    return plan;
  }
};

std::string content_of(const std::vector<const std::vector<ImageEntry>*>& lists,
                       const Config& config) {
  const ImageConfig& images = config.images;
  std::string text = join(config.length.batch_size, " ", images.flip, " ", images.caption_dropout,
                          " ", images.caption_shuffle, " ", images.keep_tokens, " ",
                          images.caption_shuffle ? images.trigger_word : "");
  for (const auto* list : lists) {
    text += join("\n", list->size());
    for (const ImageEntry& entry : *list) {
      text += join("\n", entry.sha256, " ", entry.bucket.width, "x", entry.bucket.height, " ",
                   entry.repeats, " ", entry.caption);
    }
  }
  return sha256(text);
}

EpochSetup setup_of(const std::vector<ImageEntry>& fresh, const std::vector<ImageEntry>& old,
                    const std::vector<ImageEntry>& prior, const Config& config) {
  EpochSetup setup{.repeats = {},
                   .old = old.size(),
                   .streams = kImageStreams,
                   .batches = {},
                   .content = content_of({&fresh, &old, &prior}, config)};
  ImageBatches batches{{}, config.length.batch_size, config.seed, config.data.shuffle};
  for (const ImageEntry& entry : fresh) {
    setup.repeats.push_back(entry.repeats);
    batches.buckets.push_back(entry.bucket);
  }
  for (const ImageEntry& entry : old) batches.buckets.push_back(entry.bucket);
  setup.batches = std::move(batches);
  return setup;
}

}  // namespace

ImageSource::ImageSource(std::vector<ImageEntry> fresh, std::vector<ImageEntry> old,
                         std::vector<ImageEntry> prior, const Config& config)
    : fresh_(std::move(fresh)),
      old_(std::move(old)),
      prior_(std::move(prior)),
      config_(config.images),
      batch_size_(config.length.batch_size),
      seed_(config.seed),
      order_(config, setup_of(fresh_, old_, prior_, config)) {}

ImageItem ImageSource::item(ImageRole role, std::size_t index, std::int64_t number) const {
  Random random(seed_, "flip", number);
  const bool flipped = config_.flip && random.below(2) == 1;
  if (role == ImageRole::prior) return {role, index, flipped, prior_[index].caption};
  const ImageEntry& entry = (role == ImageRole::fresh ? fresh_ : old_)[index];
  return {role, index, flipped, augmented_caption(entry.caption, config_, seed_, number)};
}

std::vector<ImageItem> ImageSource::next() {
  const BatchRows& batch = order_.next();
  std::vector<ImageItem> items;
  const auto add = [&, first = order_.number() * 4096](ImageRole role, std::size_t index) {
    items.push_back(item(role, index, first + static_cast<std::int64_t>(items.size())));
  };
  for (const SampleOrder& row : batch) {
    const bool is_old = row.front() >= fresh_.size();
    add(is_old ? ImageRole::old : ImageRole::fresh, row.front() - (is_old ? fresh_.size() : 0));
  }
  const auto used = static_cast<std::size_t>(order_.number() * batch_size_);
  for (std::size_t i = 0; i < batch.size() && !prior_.empty(); ++i) {
    add(ImageRole::prior, (used + i) % prior_.size());
  }
  return items;
}

std::string augmented_caption(const std::string& caption, const ImageConfig& config,
                              std::int64_t seed, std::int64_t number) {
  Random random(seed, "caption", number);
  if (config.caption_dropout > 0 && unit(random) < config.caption_dropout) return "";
  if (!config.caption_shuffle) return caption;
  std::vector<std::string> tags;
  for (const std::string& tag : split(caption, ',')) tags.push_back(trim(tag));
  const std::size_t first = std::max(static_cast<std::size_t>(config.keep_tokens),
                                     trigger_parts(caption, config.trigger_word));
  const std::size_t keep = std::min(tags.size(), first);
  std::vector<std::string> rest(tags.begin() + static_cast<std::ptrdiff_t>(keep), tags.end());
  shuffle(rest, random);
  tags.resize(keep);
  tags.insert(tags.end(), rest.begin(), rest.end());
  return join_words(tags);
}

}  // namespace lora
