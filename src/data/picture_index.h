// SPDX-License-Identifier: Apache-2.0
// Finds among many pictures the one that looks like a given one.
#pragma once

#include <cstddef>
#include <optional>
#include <unordered_map>
#include <vector>

#include "data/image_checks.h"

namespace lora {

// A growing set of pictures that is asked whether it has one like this already (looks_alike). Few
// pictures are compared: those whose hash has a run of bits in common.
class PictureIndex {
 public:
  // The number of the first that looks like it: 0, 1, ... in the order in which they were added.
  std::optional<std::size_t> find(const PictureMark& mark) const;
  void add(const PictureMark& mark);

 private:
  std::vector<PictureMark> marks_;
  std::unordered_map<std::uint64_t, std::vector<std::size_t>> bands_;  // bits of a band -> numbers
};

}  // namespace lora
