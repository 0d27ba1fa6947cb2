// SPDX-License-Identifier: Apache-2.0
#include "data/image_source.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "data/shuffle.h"

namespace lora {
namespace {

double unit(Random& random) { return static_cast<double>(random.next() >> 11) * 0x1p-53; }

}  // namespace

ImageSource::ImageSource(std::vector<ImageEntry> fresh, std::vector<ImageEntry> old,
                         std::vector<ImageEntry> prior, const ImageSourceOptions& options)
    : fresh_(std::move(fresh)), old_(std::move(old)), prior_(std::move(prior)), options_(options) {
  if (fresh_.empty()) fail_usage("train_data_dir: no pictures to train on");
  if (options_.replay > 0 && old_.empty()) {
    fail_usage("replay: none of the parent's pictures was found; set replay: 0, or put them back");
  }
  make_plan();
}

const ImageEntry& ImageSource::entry(const Pick& pick) const {
  const auto& list = pick.role == ImageRole::fresh ? fresh_
                     : pick.role == ImageRole::old ? old_
                                                   : prior_;
  return list[pick.index];
}

std::int64_t ImageSource::old_per_epoch() const {
  if (options_.replay <= 0) return 0;
  double count = 0;
  for (const ImageEntry& entry : fresh_) count += static_cast<double>(entry.repeats);
  count *= static_cast<double>(options_.repeats);
  return std::llround(count * options_.replay / (1 - options_.replay));
}

// Every fresh picture as often as it repeats, and old ones drawn anew without repetition (all of
// them, and then again, where there are fewer), spread evenly among the fresh ones.
std::vector<ImageSource::Pick> ImageSource::picks_of_epoch() const {
  std::vector<Pick> fresh;
  for (std::size_t i = 0; i < fresh_.size(); ++i) {
    for (std::int64_t r = 0; r < fresh_[i].repeats * options_.repeats; ++r) {
      fresh.push_back({ImageRole::fresh, i});
    }
  }
  if (options_.shuffle) shuffle(fresh, Random(options_.seed, "fresh pictures", epoch_));
  const auto wanted = static_cast<std::size_t>(old_per_epoch());
  std::vector<Pick> old;
  for (std::int64_t round = 0; old.size() < wanted; ++round) {
    std::vector<Pick> all;
    for (std::size_t i = 0; i < old_.size(); ++i) all.push_back({ImageRole::old, i});
    shuffle(all, Random(options_.seed, "old pictures", epoch_ * 1000 + round));
    all.resize(std::min(all.size(), wanted - old.size()));
    old.insert(old.end(), all.begin(), all.end());
  }
  std::vector<Pick> picks;
  std::size_t taken = 0;
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    picks.push_back(fresh[i]);
    while (taken * fresh.size() < (i + 1) * old.size() && taken < old.size()) {
      picks.push_back(old[taken++]);
    }
  }
  return picks;
}

void ImageSource::make_plan() {
  plan_.clear();
  const auto size = static_cast<std::size_t>(options_.batch_size);
  std::map<Size, std::vector<Pick>> open;
  for (const Pick& pick : picks_of_epoch()) {
    std::vector<Pick>& batch = open[entry(pick).bucket];
    batch.push_back(pick);
    if (batch.size() == size) plan_.push_back(std::exchange(batch, {}));
  }
  for (auto& [bucket, batch] : open) {
    if (!batch.empty()) plan_.push_back(std::move(batch));
  }
  if (options_.shuffle && open.size() > 1) {
    shuffle(plan_, Random(options_.seed, "buckets", epoch_));
  }
}

ImageItem ImageSource::item(const Pick& pick, std::int64_t number) const {
  Random random(options_.seed, "flip", number);
  const bool flipped = options_.flip && random.below(2) == 1;
  const std::string& caption = entry(pick).caption;
  return {pick.role, pick.index, flipped,
          pick.role == ImageRole::prior ? caption : augmented_caption(caption, options_, number)};
}

std::vector<ImageItem> ImageSource::next() {
  if (position_ == plan_.size()) {
    ++epoch_;
    position_ = 0;
    make_plan();
  }
  const std::vector<Pick>& batch = plan_[position_++];
  std::vector<ImageItem> items;
  const std::int64_t first = count_ * 4096;  // numbers of the items of this batch
  for (const Pick& pick : batch) {
    items.push_back(item(pick, first + static_cast<std::int64_t>(items.size())));
  }
  for (std::size_t i = 0; i < batch.size() && !prior_.empty(); ++i) {
    const std::size_t index =
        (static_cast<std::size_t>(count_ * options_.batch_size) + i) % prior_.size();
    items.push_back(
        item({ImageRole::prior, index}, first + static_cast<std::int64_t>(items.size())));
  }
  ++count_;
  return items;
}

double ImageSource::epoch() const {
  return static_cast<double>(epoch_) +
         static_cast<double>(position_) / static_cast<double>(plan_.size());
}

nlohmann::json ImageSource::state() const {
  return {{"epoch", epoch_},        {"position", position_}, {"count", count_},
          {"fresh", fresh_.size()}, {"old", old_.size()},    {"prior", prior_.size()}};
}

void ImageSource::restore(const nlohmann::json& state) {
  const bool same = state.at("fresh") == fresh_.size() && state.at("old") == old_.size() &&
                    state.at("prior") == prior_.size();
  if (!same) {
    fail_integrity("checkpoint: made with other pictures (found ", fresh_.size(), " new, ",
                   old_.size(), " old; expected ", state.at("fresh"), " and ", state.at("old"),
                   "); start a new run");
  }
  epoch_ = state.at("epoch");
  count_ = state.at("count");
  make_plan();
  position_ = state.at("position");
}

std::string augmented_caption(const std::string& caption, const ImageSourceOptions& options,
                              std::int64_t number) {
  Random random(options.seed, "caption", number);
  if (options.caption_dropout > 0 && unit(random) < options.caption_dropout) return "";
  if (!options.caption_shuffle) return caption;
  std::vector<std::string> tags;
  for (const std::string& tag : split(caption, ',')) tags.push_back(trim(tag));
  const auto keep = std::min(tags.size(), static_cast<std::size_t>(options.keep_tokens));
  std::vector<std::string> rest(tags.begin() + static_cast<std::ptrdiff_t>(keep), tags.end());
  shuffle(rest, random);
  tags.resize(keep);
  tags.insert(tags.end(), rest.begin(), rest.end());
  return join_words(tags);
}

}  // namespace lora
