// SPDX-License-Identifier: Apache-2.0
#include "data/overlap.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "data/near_duplicates.h"

namespace lora {
namespace {

// Of 64 bits in 5 bands, the 4 bits in which like pictures differ leave one band equal.
constexpr int kBands = 5, kBandBits = 13;

std::uint64_t band(std::uint64_t hash, int number) {
  const std::uint64_t bits = hash >> (number * kBandBits) & ((1U << kBandBits) - 1);
  return static_cast<std::uint64_t>(number) << 32 | bits;
}

std::string text_of(const TextRecord& record) {
  std::string text = record.text;
  for (const Message& message : record.messages) text += message.content + "\n";
  for (const std::int64_t id : record.tokens.ids) text += std::to_string(id) + " ";
  return text;
}

void add(Overlap& overlap, bool common, const std::string& name) {
  ++overlap.of;
  if (common && ++overlap.found == 1) overlap.first = name;
}

std::string place(const TextRecord& record) { return join(record.file.string(), ":", record.row); }

}  // namespace

PictureMark mark_of(const ImageRecord& record) { return {record.hash, record.mosaic}; }

Overlap overlap_of(const std::vector<ImageRecord>& pictures,
                   const std::vector<PictureMark>& known) {
  std::unordered_map<std::uint64_t, std::vector<const PictureMark*>> bands;
  for (const PictureMark& mark : known) {
    for (int i = 0; i < kBands; ++i) bands[band(mark.hash, i)].push_back(&mark);
  }
  Overlap overlap;
  for (const ImageRecord& picture : pictures) {
    const PictureMark mark = mark_of(picture);
    bool common = false;
    for (int i = 0; i < kBands && !common; ++i) {
      const auto found = bands.find(band(mark.hash, i));
      common = found != bands.end() && std::ranges::any_of(found->second, [&](const auto* other) {
                 return looks_alike(mark.hash, mark.mosaic, other->hash, other->mosaic);
               });
    }
    add(overlap, common, picture.file.path.generic_string());
  }
  return overlap;
}

Overlap overlap_of(const std::vector<const TextRecord*>& texts,
                   const std::vector<const TextRecord*>& known) {
  NearDuplicates index;
  for (const TextRecord* record : texts) index.add(text_of(*record));
  std::vector<bool> common(texts.size());
  for (const TextRecord* record : known) {
    if (const auto match = index.find(text_of(*record))) common[match->index] = true;
  }
  Overlap overlap;
  for (std::size_t i = 0; i < texts.size(); ++i) add(overlap, common[i], place(*texts[i]));
  return overlap;
}

Overlap overlap_of(const std::vector<const TextRecord*>& texts,
                   const std::set<std::string>& known) {
  Overlap overlap;
  for (const TextRecord* record : texts) {
    add(overlap, known.contains(record->sha256), place(*record));
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
