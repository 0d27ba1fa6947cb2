// SPDX-License-Identifier: Apache-2.0
#include "data/overlap.h"

#include "base/error.h"
#include "data/near_duplicates.h"
#include "data/picture_index.h"

namespace lora {
namespace {

// What is compared of a record; tokens by their numbers.
std::string compared_text(const TextRecord& record) {
  std::string text = content_of(record);
  for (const std::int64_t id : record.tokens.ids) text += std::to_string(id) + " ";
  return text;
}

void add(Overlap& overlap, bool common, const std::string& name) {
  ++overlap.of;
  if (common && ++overlap.found == 1) overlap.first = name;
}

}  // namespace

Overlap overlap_of(const std::vector<ImageRecord>& pictures,
                   const std::vector<PictureMark>& known) {
  PictureIndex index;
  for (const PictureMark& mark : known) index.add(mark);
  Overlap overlap;
  for (const ImageRecord& picture : pictures) {
    add(overlap, index.find(picture.mark).has_value(), picture.file.path.generic_string());
  }
  return overlap;
}

Overlap overlap_of(const std::vector<const TextRecord*>& texts,
                   const std::vector<const TextRecord*>& known) {
  NearDuplicates index;
  for (const TextRecord* record : texts) index.add(compared_text(*record));
  std::vector<bool> common(texts.size());
  for (const TextRecord* record : known) {
    if (const auto match = index.find(compared_text(*record))) common[match->index] = true;
  }
  Overlap overlap;
  for (std::size_t i = 0; i < texts.size(); ++i) add(overlap, common[i], texts[i]->at.text());
  return overlap;
}

Overlap overlap_of(const std::vector<const TextRecord*>& texts,
                   const std::set<std::string>& known) {
  Overlap overlap;
  for (const TextRecord* record : texts) {
    add(overlap, known.contains(record->sha256), record->at.text());
  }
  return overlap;
}

std::vector<const TextRecord*> records_of(const TextDataset& data, const TextSamples& samples) {
  const std::set<std::size_t> used(samples.records.begin(), samples.records.end());
  std::vector<const TextRecord*> records;
  for (const std::size_t index : used) records.push_back(&data.records[index]);
  return records;
}

}  // namespace lora
