// SPDX-License-Identifier: Apache-2.0
#include "data/text_source.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "data/shuffle.h"

namespace lora {
namespace {

constexpr std::size_t kBucketBatches = 20;  // as PEFT's benchmark

std::int64_t size_of(const TextSample& sample) {
  return static_cast<std::int64_t>(sample.ids.size());
}

void check(const std::vector<TextSample>& samples, const TextConfig& text) {
  for (const TextSample& sample : samples) {
    if (sample.ids.size() != sample.labels.size() || sample.ids.empty()) {
      fail_usage("text data: a sample has ", sample.ids.size(), " ids and ", sample.labels.size(),
                 " labels");
    }
    if (text.packing && size_of(sample) > text.max_seq_length) {
      fail_usage("text data: a sample of ", sample.ids.size(),
                 " tokens does not fit a packed row (max_seq_length ", text.max_seq_length, ")");
    }
  }
}

// Consecutive groups of `size`.
template <typename T>
std::vector<std::vector<T>> groups_of(std::vector<T> items, std::size_t size) {
  std::vector<std::vector<T>> out;
  for (T& item : items) {
    if (out.empty() || out.back().size() == size) out.emplace_back();
    out.back().push_back(std::move(item));
  }
  return out;
}

// Samples to rows and batches, by their lengths.
struct TextBatches {
  std::vector<std::int64_t> lengths;
  Config config;

  EpochPlan operator()(SampleOrder order, std::int64_t epoch) const {
    return config.text.packing ? packed(std::move(order), epoch) : padded(std::move(order), epoch);
  }

 private:
  EpochPlan packed(SampleOrder order, std::int64_t epoch) const;
  EpochPlan padded(SampleOrder order, std::int64_t epoch) const;
  std::size_t size() const { return static_cast<std::size_t>(config.length.batch_size); }
};

EpochPlan TextBatches::packed(SampleOrder order, std::int64_t epoch) const {
  const auto longer = [this](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; };
  // Decreasing lengths: the number of rows depends on the lengths alone, not on the order.
  if (config.data.shuffle) std::stable_sort(order.begin(), order.end(), longer);
  BatchRows rows;
  std::multimap<std::int64_t, std::size_t> room;  // free tokens -> row
  for (const std::size_t number : order) {
    const auto fit = room.lower_bound(lengths[number]);
    std::int64_t free = config.text.max_seq_length;
    std::size_t row = rows.size();
    if (fit == room.end()) {
      rows.emplace_back();
    } else {
      free = fit->first;
      row = fit->second;
      room.erase(fit);
    }
    rows[row].push_back(number);
    room.emplace(free - lengths[number], row);
  }
  if (config.data.shuffle) shuffle(rows, Random(config.seed, "rows", epoch));
  return groups_of(std::move(rows), size());
}

EpochPlan TextBatches::padded(SampleOrder order, std::int64_t epoch) const {
  const bool bucketing = config.text.length_bucketing && config.data.shuffle && size() > 1;
  const std::size_t bucket = size() * kBucketBatches;
  for (std::size_t begin = 0; bucketing && begin < order.size(); begin += bucket) {
    const auto at = [&](std::size_t i) { return order.begin() + static_cast<std::ptrdiff_t>(i); };
    std::stable_sort(at(begin), at(std::min(begin + bucket, order.size())),
                     [this](std::size_t a, std::size_t b) { return lengths[a] < lengths[b]; });
  }
  BatchRows rows;
  for (const std::size_t number : order) rows.push_back({number});
  EpochPlan batches = groups_of(std::move(rows), size());
  if (bucketing) shuffle(batches, Random(config.seed, "batches", epoch));
  return batches;
}

std::string content_of(const std::vector<TextSample>& fresh, const std::vector<TextSample>& old,
                       const Config& config) {
  Sha256 hash;
  for (const auto* samples : {&fresh, &old}) {
    for (const TextSample& sample : *samples) {
      hash.update(sample.ids.data(), sample.ids.size() * sizeof(std::int64_t));
      hash.update(sample.labels.data(), sample.labels.size() * sizeof(std::int64_t));
      hash.update("|");
    }
    hash.update("end");
  }
  hash.update(join(config.length.batch_size, " ", config.text.packing, " ",
                   config.text.length_bucketing, " ", config.text.max_seq_length));
  return hash.hex();
}

EpochSetup setup_of(const std::vector<TextSample>& fresh, const std::vector<TextSample>& old,
                    const Config& config) {
  TextBatches batches{{}, config};
  for (const auto* samples : {&fresh, &old}) {
    check(*samples, config.text);
    for (const TextSample& sample : *samples) batches.lengths.push_back(size_of(sample));
  }
  return {.repeats = std::vector<std::int64_t>(fresh.size(), 1),
          .old = old.size(),
          .streams = kTextStreams,
          .batches = std::move(batches),
          .content = content_of(fresh, old, config)};
}

void append_document(TextBatch& batch, std::size_t row, std::size_t at, std::int64_t document,
                     const TextSample& sample) {
  const std::size_t base = row * static_cast<std::size_t>(batch.length) + at;
  for (std::size_t t = 0; t < sample.ids.size(); ++t) {
    batch.ids[base + t] = sample.ids[t];
    batch.labels[base + t] = t == 0 ? kIgnore : sample.labels[t];
    batch.positions[base + t] = static_cast<std::int64_t>(t);
    batch.documents[base + t] = document;
  }
}

}  // namespace

TextBatch make_batch(const std::vector<std::vector<const TextSample*>>& rows, std::int64_t pad_id) {
  TextBatch batch;
  batch.rows = static_cast<std::int64_t>(rows.size());
  for (const auto& row : rows) {
    std::int64_t length = 0;
    for (const TextSample* sample : row) length += size_of(*sample);
    batch.length = std::max(batch.length, length);
  }
  const auto cells = static_cast<std::size_t>(batch.rows * batch.length);
  batch.ids.assign(cells, pad_id);
  batch.labels.assign(cells, kIgnore);
  batch.positions.assign(cells, 0);
  batch.documents.assign(cells, 0);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::size_t at = 0;
    std::int64_t document = 0;
    for (const TextSample* sample : rows[r]) {
      append_document(batch, r, at, ++document, *sample);
      at += sample->ids.size();
    }
  }
  return batch;
}

TextSource::TextSource(std::vector<TextSample> fresh, std::vector<TextSample> old,
                       const Config& config, std::int64_t pad_id)
    : fresh_(std::move(fresh)),
      old_(std::move(old)),
      pad_id_(pad_id),
      order_(config, setup_of(fresh_, old_, config)) {}

const TextSample& TextSource::sample(std::size_t number) const {
  return number < fresh_.size() ? fresh_[number] : old_[number - fresh_.size()];
}

TextBatch TextSource::next() {
  std::vector<std::vector<const TextSample*>> rows;
  last_.clear();
  for (const SampleOrder& row : order_.next()) {
    rows.emplace_back();
    for (const std::size_t number : row) {
      rows.back().push_back(&sample(number));
      last_.push_back(number);
    }
  }
  return make_batch(rows, pad_id_);
}

std::string TextSource::describe_last() const {
  std::vector<std::string> names[2];
  for (const std::size_t number : last_) {
    const bool is_old = number >= fresh_.size();
    names[is_old].push_back(std::to_string((is_old ? number - fresh_.size() : number) + 1));
  }
  std::string out = names[0].empty() ? "" : "samples " + join_words(names[0]);
  if (!names[1].empty()) out += (out.empty() ? "" : "; ") + ("old samples " + join_words(names[1]));
  return out;
}

std::vector<std::size_t> longest_first(const std::vector<TextSample>& samples) {
  std::vector<std::size_t> order(samples.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return samples[a].ids.size() > samples[b].ids.size();
  });
  return order;
}

std::vector<TextBatch> fixed_batches(const std::vector<TextSample>& samples,
                                     std::int64_t batch_size, std::int64_t pad_id) {
  std::vector<std::vector<const TextSample*>> rows;
  for (const std::size_t index : longest_first(samples)) rows.push_back({&samples[index]});
  std::vector<TextBatch> out;
  for (const auto& group : groups_of(std::move(rows), static_cast<std::size_t>(batch_size))) {
    out.push_back(make_batch(group, pad_id));
  }
  return out;
}

}  // namespace lora
