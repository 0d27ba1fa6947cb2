// SPDX-License-Identifier: Apache-2.0
// Samples that two sets have in common, be it as copies that are not quite the same.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "data/image_dataset.h"
#include "data/text_dataset.h"

namespace lora {

struct Overlap {
  std::size_t found = 0, of = 0;  // `found` of `of` samples stand in the other set, too
  std::string first;              // the first of them: a path, place_of its record
};

// Pictures that look like one of `known`.
Overlap overlap_of(const std::vector<ImageRecord>& pictures, const std::vector<PictureMark>& known);

// Texts that are equal or nearly equal (near_duplicates.h) to one of `known`. Best with the smaller
// set as `texts`.
Overlap overlap_of(const std::vector<const TextRecord*>& texts,
                   const std::vector<const TextRecord*>& known);

// Texts whose hash is among `known`: for data whose files may be gone.
Overlap overlap_of(const std::vector<const TextRecord*>& texts, const std::set<std::string>& known);

// The records that the samples were made of, each once.
std::vector<const TextRecord*> records_of(const TextDataset& data, const TextSamples& samples);

}  // namespace lora
