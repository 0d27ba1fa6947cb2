// SPDX-License-Identifier: Apache-2.0
// Which pictures come next, epoch after epoch, with their captions as training sees them. Buckets
// are never mixed in a batch; the last batch of a bucket may be short (kohya sd-scripts' rules).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/buckets.h"

namespace lora {

// What the order depends on, of one picture.
struct ImageEntry {
  std::string caption;
  Size bucket;
  int repeats = 1;
};

struct ImageSourceOptions {
  std::int64_t batch_size = 1, seed = 42, repeats = 1;
  bool shuffle = true, flip = false;
  double replay = 0;           // share of old pictures among those seen
  double caption_dropout = 0;  // share of captions that are left empty
  bool caption_shuffle = false;
  std::int64_t keep_tokens = 0;  // tags that stay in front when shuffled
};

enum class ImageRole { fresh, old, prior };

// One picture of a batch: `index` counts within its role's list.
struct ImageItem {
  ImageRole role = ImageRole::fresh;
  std::size_t index = 0;
  bool flipped = false;
  std::string caption;
};

class ImageSource {
 public:
  // `old`: pictures of the parent for replay; `prior`: class pictures, as many of which as fresh
  // and old ones join every batch. Throws Error (usage): no pictures; replay without old ones.
  ImageSource(std::vector<ImageEntry> fresh, std::vector<ImageEntry> old,
              std::vector<ImageEntry> prior, const ImageSourceOptions& options);

  // The next batch; prior items stand last and may be of another bucket than the others.
  std::vector<ImageItem> next();
  // Number of batches handed out so far: seeds of noise depend on it.
  std::int64_t batches() const { return count_; }
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

  std::int64_t batches_per_epoch() const { return static_cast<std::int64_t>(plan_.size()); }
  double epoch() const;
  std::int64_t old_per_epoch() const;

 private:
  struct Pick {
    ImageRole role;
    std::size_t index;
  };
  void make_plan();
  std::vector<Pick> picks_of_epoch() const;
  ImageItem item(const Pick& pick, std::int64_t number) const;
  const ImageEntry& entry(const Pick& pick) const;

  std::vector<ImageEntry> fresh_, old_, prior_;
  ImageSourceOptions options_;
  std::int64_t epoch_ = 0, count_ = 0;
  std::size_t position_ = 0;
  std::vector<std::vector<Pick>> plan_;  // batches of the current epoch
};

// A caption as one step sees it: dropped, or its tags behind `keep_tokens` shuffled.
std::string augmented_caption(const std::string& caption, const ImageSourceOptions& options,
                              std::int64_t number);

}  // namespace lora
