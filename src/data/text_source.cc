// SPDX-License-Identifier: Apache-2.0
#include "data/text_source.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
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

void hash_samples(Sha256& hash, const std::vector<TextSample>& samples) {
  for (const TextSample& sample : samples) {
    hash.update(sample.ids.data(), sample.ids.size() * sizeof(std::int64_t));
    hash.update(sample.labels.data(), sample.labels.size() * sizeof(std::int64_t));
    hash.update("|");
  }
}

void check(const std::vector<TextSample>& samples, const TextDataOptions& options) {
  for (const TextSample& sample : samples) {
    if (sample.ids.size() != sample.labels.size() || sample.ids.empty()) {
      fail_usage("text data: a sample has ", sample.ids.size(), " ids and ", sample.labels.size(),
                 " labels");
    }
    if (options.packing && size_of(sample) > options.max_seq_length) {
      fail_usage("text data: a sample of ", sample.ids.size(),
                 " tokens does not fit a packed row (max_seq_length ", options.max_seq_length, ")");
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

SampleSource::SampleSource(std::vector<TextSample> fresh, std::vector<TextSample> old,
                           const TextDataOptions& options)
    : fresh_(std::move(fresh)), old_(std::move(old)), options_(options) {
  if (fresh_.empty()) fail_usage("text data: no samples to train on");
  if (options_.batch_size < 1) {
    fail_usage("batch_size: at least 1 is needed (found ", options_.batch_size, ")");
  }
  if (options_.replay < 0 || options_.replay >= 1) {
    fail_usage("replay: a share of at least 0 and below 1 is needed (found ", options_.replay, ")");
  }
  if (options_.replay > 0 && old_.empty()) {
    fail_usage(
        "replay: there are no old samples to draw from; set replay: 0 or give the "
        "parent's data");
  }
  check(fresh_, options_);
  check(old_, options_);
  const double fresh_count =
      static_cast<double>(fresh_.size()) * static_cast<double>(options_.repeats);
  old_per_epoch_ = std::llround(fresh_count * options_.replay / (1 - options_.replay));
  Sha256 hash;
  hash_samples(hash, fresh_);
  hash.update("old");
  if (old_per_epoch_ > 0) hash_samples(hash, old_);
  hash.update(join(options_.seed, " ", options_.batch_size, " ", options_.packing, " ",
                   options_.length_bucketing, " ", options_.shuffle, " ", options_.repeats, " ",
                   options_.max_seq_length, " ", old_per_epoch_));
  fingerprint_ = hash.hex();
  plan_ = plan(0);
  first_epoch_batches_ = static_cast<std::int64_t>(plan_.size());
}

const TextSample& SampleSource::sample(std::size_t index) const {
  return index < fresh_.size() ? fresh_[index] : old_[index - fresh_.size()];
}

// Indices of the old samples of an epoch, each of them before any comes again.
std::vector<std::size_t> SampleSource::drawn(std::int64_t epoch) const {
  std::vector<std::size_t> out, all(old_.size());
  std::iota(all.begin(), all.end(), fresh_.size());
  const auto wanted = static_cast<std::size_t>(old_per_epoch_);
  for (std::int64_t round = 0; out.size() < wanted; ++round) {
    shuffle(all, Random(options_.seed, "replay", epoch * 1000003 + round));
    const std::size_t count = std::min(all.size(), wanted - out.size());
    out.insert(out.end(), all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return out;
}

EpochPlan SampleSource::plan(std::int64_t epoch) const {
  std::vector<std::size_t> fresh;
  for (std::size_t i = 0; i < fresh_.size(); ++i) {
    fresh.insert(fresh.end(), static_cast<std::size_t>(options_.repeats), i);
  }
  const std::vector<std::size_t> old = drawn(epoch);
  std::vector<std::size_t> order;
  std::size_t next_old = 0;
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    order.push_back(fresh[i]);
    while (next_old < old.size() && next_old * fresh.size() < (i + 1) * old.size()) {
      order.push_back(old[next_old++]);
    }
  }
  if (options_.shuffle) shuffle(order, Random(options_.seed, "order", epoch));
  return options_.packing ? packed(std::move(order), epoch) : padded(std::move(order), epoch);
}

EpochPlan SampleSource::packed(std::vector<std::size_t> order, std::int64_t epoch) const {
  const auto longer = [this](std::size_t a, std::size_t b) {
    return size_of(sample(a)) > size_of(sample(b));
  };
  // Decreasing lengths: the number of rows depends on the lengths alone, not on the order.
  if (options_.shuffle) std::stable_sort(order.begin(), order.end(), longer);
  std::vector<std::vector<std::size_t>> rows;
  std::multimap<std::int64_t, std::size_t> room;  // free tokens -> row
  for (const std::size_t index : order) {
    const std::int64_t size = size_of(sample(index));
    const auto fit = room.lower_bound(size);
    std::int64_t free = options_.max_seq_length;
    std::size_t row = rows.size();
    if (fit == room.end()) {
      rows.emplace_back();
    } else {
      free = fit->first;
      row = fit->second;
      room.erase(fit);
    }
    rows[row].push_back(index);
    room.emplace(free - size, row);
  }
  if (options_.shuffle) shuffle(rows, Random(options_.seed, "rows", epoch));
  return groups_of(std::move(rows), static_cast<std::size_t>(options_.batch_size));
}

EpochPlan SampleSource::padded(std::vector<std::size_t> order, std::int64_t epoch) const {
  const auto size = static_cast<std::size_t>(options_.batch_size);
  const bool bucketing = options_.length_bucketing && options_.shuffle && size > 1;
  if (bucketing) {
    const std::size_t bucket = size * kBucketBatches;
    for (std::size_t begin = 0; begin < order.size(); begin += bucket) {
      const auto from = order.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto to =
          order.begin() + static_cast<std::ptrdiff_t>(std::min(begin + bucket, order.size()));
      std::stable_sort(from, to, [this](std::size_t a, std::size_t b) {
        return size_of(sample(a)) < size_of(sample(b));
      });
    }
  }
  std::vector<std::vector<std::size_t>> rows;
  for (const std::size_t index : order) rows.push_back({index});
  EpochPlan batches = groups_of(std::move(rows), size);
  if (bucketing) shuffle(batches, Random(options_.seed, "batches", epoch));
  return batches;
}

TextBatch SampleSource::next() {
  if (batch_ == plan_.size()) {
    ++epoch_;
    batch_ = 0;
    plan_ = plan(epoch_);
  }
  std::vector<std::vector<const TextSample*>> rows;
  last_.clear();
  for (const auto& row : plan_[batch_]) {
    rows.emplace_back();
    for (const std::size_t index : row) {
      rows.back().push_back(&sample(index));
      last_.push_back(index);
    }
  }
  ++batch_;
  return make_batch(rows, options_.pad_id);
}

nlohmann::json SampleSource::state() const {
  return {{"epoch", epoch_}, {"batch", batch_}, {"data", fingerprint_}};
}

void SampleSource::restore(const nlohmann::json& state) {
  if (state.value("data", "") != fingerprint_) {
    fail_integrity(
        "checkpoint: it belongs to other training data or other data settings; resume "
        "with the files and the configuration of the interrupted run");
  }
  const std::int64_t epoch = state.value("epoch", std::int64_t{-1});
  EpochPlan found = epoch < 0 ? EpochPlan() : plan(epoch);
  const std::size_t batch = state.value("batch", std::size_t{0});
  if (epoch < 0 || batch > found.size()) {
    fail_integrity("checkpoint: its position in the data is impossible (epoch ", epoch, ", batch ",
                   batch, ")");
  }
  epoch_ = epoch;
  batch_ = batch;
  plan_ = std::move(found);
}

std::int64_t SampleSource::batches_per_epoch() const { return first_epoch_batches_; }

double SampleSource::epoch() const {
  return static_cast<double>(epoch_) +
         static_cast<double>(batch_) / static_cast<double>(plan_.size());
}

std::int64_t SampleSource::batches_until(double epochs) const {
  const auto whole = static_cast<std::int64_t>(std::floor(epochs));
  const bool varies = options_.packing && old_per_epoch_ > 0;
  std::int64_t total = varies ? 0 : whole * first_epoch_batches_;
  for (std::int64_t e = 0; varies && e < whole; ++e) {
    total += static_cast<std::int64_t>(plan(e).size());
  }
  const double part = epochs - static_cast<double>(whole);
  const auto last = varies ? static_cast<std::int64_t>(plan(whole).size()) : first_epoch_batches_;
  return total + static_cast<std::int64_t>(std::ceil(part * static_cast<double>(last) - 1e-9));
}

std::string SampleSource::describe_last() const {
  std::vector<std::string> names[2];
  for (const std::size_t index : last_) {
    const bool is_old = index >= fresh_.size();
    names[is_old].push_back(std::to_string((is_old ? index - fresh_.size() : index) + 1));
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
                                     const TextDataOptions& options) {
  std::vector<std::vector<const TextSample*>> rows;
  for (const std::size_t index : longest_first(samples)) rows.push_back({&samples[index]});
  std::vector<TextBatch> out;
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(options.batch_size, 1));
  for (const auto& group : groups_of(std::move(rows), size)) {
    out.push_back(make_batch(group, options.pad_id));
  }
  return out;
}

}  // namespace lora
