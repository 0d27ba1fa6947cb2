// SPDX-License-Identifier: Apache-2.0
// Batches of tokenised samples, epoch after epoch. Every sample is seen once an epoch (`repeats`
// times), nothing is dropped; the last batch of an epoch may be smaller.
#pragma once

#include <memory>

#include "data/source.h"
#include "data/text_dataset.h"

namespace lora {

// What an epoch consists of, in the order of its batches: rows of batches, documents of rows.
// A number below the count of new samples is a new sample, the others are old ones.
using EpochPlan = std::vector<std::vector<std::vector<std::size_t>>>;

class SampleSource final : public TextSource {
 public:
  // With options.replay = rho, n new samples are joined in every epoch by n rho / (1 - rho) of
  // `old`, drawn anew without repetition (all of them, and then again, where there are fewer).
  // Orders: shuffle off = as given, the old ones spread evenly among the new.
  // Packing: best fit by decreasing length into rows of max_seq_length.
  // Length bucketing: sorted by length within 20 batches, then the batches are shuffled.
  // Throws Error (usage): no samples, replay without old samples, a sample longer than a row.
  SampleSource(std::vector<TextSample> fresh, std::vector<TextSample> old,
               const TextDataOptions& options);

  TextBatch next() override;
  nlohmann::json state() const override;
  // Throws Error (integrity) where the state is of other data or other options.
  void restore(const nlohmann::json& state) override;
  // Of the first epoch. Packed epochs with replay may differ by a few: see batches_until.
  std::int64_t batches_per_epoch() const override;
  double epoch() const override;

  // Batches up to the end of `epochs` epochs (rounded up): max_steps from epochs.
  std::int64_t batches_until(double epochs) const;
  // Samples of the last batch, for messages: "new 3, 17, old 2".
  std::string describe_last() const;
  std::int64_t old_per_epoch() const { return old_per_epoch_; }

 private:
  std::vector<std::size_t> drawn(std::int64_t epoch) const;
  EpochPlan plan(std::int64_t epoch) const;
  EpochPlan packed(std::vector<std::size_t> order, std::int64_t epoch) const;
  EpochPlan padded(std::vector<std::size_t> order, std::int64_t epoch) const;
  const TextSample& sample(std::size_t index) const;

  std::vector<TextSample> fresh_, old_;
  TextDataOptions options_;
  std::int64_t old_per_epoch_ = 0;
  std::int64_t epoch_ = 0;
  std::size_t batch_ = 0;  // of the current epoch, next to be handed out
  EpochPlan plan_;
  std::int64_t first_epoch_batches_ = 0;
  std::string fingerprint_;
  std::vector<std::size_t> last_;
};

// One batch of rows, each of one or more documents, padded on the right to the longest row.
TextBatch make_batch(const std::vector<std::vector<const TextSample*>>& rows, std::int64_t pad_id);

// Indices of the samples, long ones first.
std::vector<std::size_t> longest_first(const std::vector<TextSample>& samples);

// The same batches every time, for validation: a sample a row, in the order of longest_first.
std::vector<TextBatch> fixed_batches(const std::vector<TextSample>& samples,
                                     const TextDataOptions& options);

}  // namespace lora
