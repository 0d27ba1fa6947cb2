// SPDX-License-Identifier: Apache-2.0
// Which samples come next, epoch after epoch, for texts and pictures alike: every new sample as
// often as it repeats, old ones drawn for replay and spread among them, in an order that depends on
// the seed and the epoch alone. How the samples become batches is the source's own rule.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace lora {

// Numbers of samples. Below the count of new samples it is a new one, the others are old ones.
using SampleOrder = std::vector<std::size_t>;
using BatchRows = std::vector<SampleOrder>;  // a packed row holds several samples
using EpochPlan = std::vector<BatchRows>;

// The batches of an epoch from its samples; depends on its arguments alone.
using BatchRule = std::function<EpochPlan(SampleOrder order, std::int64_t epoch)>;

// Names of the random streams ("same seed, same order" hangs on them); "" = not shuffled there.
struct OrderStreams {
  std::string_view fresh;   // the new samples, before old ones are spread among them
  std::string_view old;     // what is drawn of the old samples
  std::int64_t old_stride;  // draws of one epoch that have numbers of their own
  bool old_onward;          // a further draw of the epoch shuffles the one before, not all anew
  std::string_view all;     // new and old samples together
};
// Texts mix at random; of pictures every batch has its share of old ones.
inline constexpr OrderStreams kTextStreams = {"", "replay", 1000003, true, "order"};
inline constexpr OrderStreams kImageStreams = {"fresh pictures", "old pictures", 1000, false, ""};

struct EpochSetup {
  std::vector<std::int64_t> repeats;  // of each new sample, times data.repeats
  std::size_t old = 0;                // samples to draw from
  OrderStreams streams;
  BatchRule batches;
  std::string content;  // stands for samples and settings that the order does not know itself
};

class EpochOrder {
 public:
  // Of the configuration: data.repeats, data.shuffle, increment.replay and seed. With
  // replay = rho, n new samples are joined in every epoch by n rho / (1 - rho) old ones, drawn anew
  // without repetition (all of them, and then again, where there are fewer).
  // Throws Error (usage): no samples, replay without old samples.
  EpochOrder(const Config& config, EpochSetup setup);

  // Of several processes, this one takes every size-th batch, from the rank-th on; all of them
  // stand at the same place of the one order. Before the first batch; 0 <= rank < size.
  void shard(std::int64_t rank, std::int64_t size);

  // The next batch of this process; no rows where the epoch has none left for it.
  const BatchRows& next();
  // Of the last batch handed out: its number among the batches of all epochs, from 0.
  std::int64_t number() const { return number_; }

  // Batches that a process is handed in that epoch. With replay it varies from epoch to epoch where
  // samples are packed, or batches hold one size of picture.
  std::int64_t batches_of(std::int64_t epoch) const;
  double epoch() const;  // completed so far: 1.5 = in the middle of the second
  std::int64_t old_per_epoch() const { return old_per_epoch_; }
  std::size_t fresh() const { return setup_.repeats.size(); }

  // Position after the last batch; the same for every process, whatever their number.
  nlohmann::json state() const;
  // Throws Error (integrity) where the state is of other data or other options.
  void restore(const nlohmann::json& state);

 private:
  SampleOrder drawn(std::int64_t epoch) const;
  EpochPlan plan(std::int64_t epoch) const;
  std::int64_t size_of(std::int64_t epoch) const;
  void start(std::int64_t epoch);

  EpochSetup setup_;
  std::int64_t seed_;
  bool shuffle_;
  std::int64_t old_per_epoch_ = 0;
  std::string fingerprint_;
  std::int64_t rank_ = 0, processes_ = 1;
  std::int64_t epoch_ = 0, number_ = -1;
  std::int64_t before_ = 0;  // batches of the epochs before this one
  std::int64_t batch_ = 0;   // of the current epoch, next to be handed out to rank 0
  EpochPlan plan_;
  mutable std::vector<std::int64_t> sizes_;  // batches of the epochs that were planned so far
};

}  // namespace lora
