// SPDX-License-Identifier: Apache-2.0
// Which pictures come next, epoch after epoch, with their captions as training sees them. Buckets
// are never mixed in a batch; the last batch of a bucket may be short (kohya sd-scripts' rules).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/buckets.h"
#include "data/epoch_order.h"

namespace lora {

// What the order depends on, of one picture.
struct ImageEntry {
  std::string caption;
  Size bucket;
  int repeats = 1;
  std::string sha256;  // of the picture
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
  // `old`: pictures of the parent for replay (EpochOrder); `prior`: class pictures, as many of
  // which as fresh and old ones join every batch. Throws Error (usage) as EpochOrder.
  ImageSource(std::vector<ImageEntry> fresh, std::vector<ImageEntry> old,
              std::vector<ImageEntry> prior, const Config& config);

  // The next batch; prior items stand last and may be of another bucket than the others. Empty
  // where this process has no batch left in the epoch.
  std::vector<ImageItem> next();

  EpochOrder& order() { return order_; }

 private:
  ImageItem item(ImageRole role, std::size_t index, std::int64_t number) const;

  std::vector<ImageEntry> fresh_, old_, prior_;
  ImageConfig config_;
  std::int64_t batch_size_, seed_;
  EpochOrder order_;
};

// A caption as one step sees it: dropped, or its tags shuffled behind the first `keep_tokens`, and
// behind the trigger word where the caption begins with it.
std::string augmented_caption(const std::string& caption, const ImageConfig& config,
                              std::int64_t seed, std::int64_t number);

}  // namespace lora
