// SPDX-License-Identifier: Apache-2.0
#include "data/epoch_order.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "data/shuffle.h"

namespace lora {
namespace {

// Every fresh one in its order, the old ones evenly among them.
SampleOrder spread(const SampleOrder& fresh, const SampleOrder& old) {
  SampleOrder order;
  std::size_t taken = 0;
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    order.push_back(fresh[i]);
    while (taken < old.size() && taken * fresh.size() < (i + 1) * old.size()) {
      order.push_back(old[taken++]);
    }
  }
  return order;
}

}  // namespace

EpochOrder::EpochOrder(const Config& config, EpochSetup setup)
    : setup_(std::move(setup)), seed_(config.seed), shuffle_(config.data.shuffle) {
  if (setup_.repeats.empty()) fail_usage("train_data_dir: no samples to train on");
  const double replay = config.increment.replay;
  if (replay > 0 && setup_.old == 0) {
    fail_usage("replay: there are no old samples to draw from; put the parent's data back, or set ",
               "replay: 0");
  }
  Sha256 hash;
  hash.update(setup_.content);
  double seen = 0;
  for (std::int64_t& repeats : setup_.repeats) {
    repeats *= config.data.repeats;
    seen += static_cast<double>(repeats);
    hash.update(join(" ", repeats));
  }
  old_per_epoch_ = std::llround(seen * replay / (1 - replay));
  hash.update(join(" old ", setup_.old, " ", old_per_epoch_, " ", seed_, " ", shuffle_));
  fingerprint_ = hash.hex();
  start(0);
}

void EpochOrder::shard(std::int64_t rank, std::int64_t size) {
  rank_ = rank;
  processes_ = size;
}

// Numbers of the old samples of an epoch, each of them before any comes again.
SampleOrder EpochOrder::drawn(std::int64_t epoch) const {
  const auto wanted = static_cast<std::size_t>(old_per_epoch_);
  SampleOrder out, all(setup_.old);
  for (std::int64_t round = 0; out.size() < wanted; ++round) {
    const bool anew = round == 0 || !setup_.streams.old_onward;
    if (anew) std::iota(all.begin(), all.end(), fresh());
    shuffle(all, Random(seed_, setup_.streams.old, epoch * setup_.streams.old_stride + round));
    const std::size_t count = std::min(all.size(), wanted - out.size());
    out.insert(out.end(), all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return out;
}

EpochPlan EpochOrder::plan(std::int64_t epoch) const {
  const auto mix = [&](SampleOrder& order, std::string_view stream) {
    if (shuffle_ && !stream.empty()) shuffle(order, Random(seed_, stream, epoch));
  };
  SampleOrder own;
  for (std::size_t i = 0; i < fresh(); ++i) {
    own.insert(own.end(), static_cast<std::size_t>(setup_.repeats[i]), i);
  }
  mix(own, setup_.streams.fresh);
  SampleOrder order = spread(own, drawn(epoch));
  mix(order, setup_.streams.all);
  return setup_.batches(std::move(order), epoch);
}

std::int64_t EpochOrder::size_of(std::int64_t epoch) const {
  if (old_per_epoch_ == 0) return sizes_.front();
  while (static_cast<std::int64_t>(sizes_.size()) <= epoch) {
    const EpochPlan next = plan(static_cast<std::int64_t>(sizes_.size()));
    sizes_.push_back(static_cast<std::int64_t>(next.size()));
  }
  return sizes_[static_cast<std::size_t>(epoch)];
}

std::int64_t EpochOrder::batches_of(std::int64_t epoch) const {
  return (size_of(epoch) + processes_ - 1) / processes_;
}

void EpochOrder::start(std::int64_t epoch) {
  plan_ = plan(epoch);
  if (static_cast<std::int64_t>(sizes_.size()) == epoch) {
    sizes_.push_back(static_cast<std::int64_t>(plan_.size()));
  }
  before_ = 0;
  for (std::int64_t e = 0; e < epoch; ++e) before_ += size_of(e);
  epoch_ = epoch;
  batch_ = 0;
}

const BatchRows& EpochOrder::next() {
  static const BatchRows kNone;
  const auto size = [this] { return static_cast<std::int64_t>(plan_.size()); };
  if (batch_ == size()) start(epoch_ + 1);
  const std::int64_t own = batch_ + rank_;
  number_ = before_ + own;
  batch_ = std::min(batch_ + processes_, size());
  return own < size() ? plan_[static_cast<std::size_t>(own)] : kNone;
}

double EpochOrder::epoch() const {
  return static_cast<double>(epoch_) +
         static_cast<double>(batch_) / static_cast<double>(plan_.size());
}

nlohmann::json EpochOrder::state() const {
  return {{"epoch", epoch_}, {"batch", batch_}, {"data", fingerprint_}};
}

void EpochOrder::restore(const nlohmann::json& state) {
  if (state.value("data", "") != fingerprint_) {
    fail_integrity(
        "checkpoint: it belongs to other training data or other data settings; resume "
        "with the files and the configuration of the interrupted run");
  }
  const std::int64_t epoch = state.value("epoch", std::int64_t{-1});
  const std::int64_t batch = state.value("batch", std::int64_t{-1});
  if (epoch < 0 || batch < 0 || batch > size_of(epoch)) {
    fail_integrity("checkpoint: its position in the data is impossible (epoch ", epoch, ", batch ",
                   batch, ")");
  }
  start(epoch);
  batch_ = batch;
}

}  // namespace lora
