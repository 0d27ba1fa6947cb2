// SPDX-License-Identifier: Apache-2.0
#include "data/held_out.h"

#include <numeric>

#include "base/error.h"
#include "data/shuffle.h"

namespace lora {

void require_two_to_divide(std::string_view key, std::size_t count) {
  if (count >= 2) return;
  fail_usage(key, ": too few samples to keep some apart (found ", count,
             ", expected at least 2); set it to 0, or name a file or folder in validation_data");
}

std::vector<bool> held_out(std::size_t count, double share, std::int64_t seed) {
  require_two_to_divide("validation_split", count);
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(order, Random(seed, "validation", 0));
  const auto wanted = static_cast<std::size_t>(static_cast<double>(count) * share + 0.5);
  order.resize(std::clamp<std::size_t>(wanted, 1, count - 1));
  std::vector<bool> kept(count);
  for (const std::size_t index : order) kept[index] = true;
  return kept;
}

TextSamples take_validation(TextSamples& from, double share, std::int64_t seed) {
  std::vector<std::size_t> records(from.records);
  records.erase(std::unique(records.begin(), records.end()), records.end());
  const std::vector<bool> kept = held_out(records.size(), share, seed);
  TextSamples trained, validation;
  std::size_t record = 0;
  for (std::size_t i = 0; i < from.samples.size(); ++i) {
    if (from.records[i] != records[record]) ++record;
    TextSamples& to = kept[record] ? validation : trained;
    add_sample(to, std::move(from.samples[i]), from.records[i]);
  }
  trained.truncated = from.truncated;
  trained.answers_cut = from.answers_cut;
  trained.longest = from.longest;
  from = std::move(trained);
  return validation;
}

std::vector<ImageRecord> take_validation(std::vector<ImageRecord>& from, double share,
                                         std::int64_t seed) {
  const std::vector<bool> kept = held_out(from.size(), share, seed);
  std::vector<ImageRecord> trained, validation;
  for (std::size_t i = 0; i < from.size(); ++i) {
    (kept[i] ? validation : trained).push_back(std::move(from[i]));
  }
  from = std::move(trained);
  return validation;
}

}  // namespace lora
