// SPDX-License-Identifier: Apache-2.0
// Batches of tokenised samples, epoch after epoch. Every sample is seen once an epoch (`repeats`
// times), nothing is dropped; the last batch of an epoch may be smaller.
#pragma once

#include "data/batch.h"
#include "data/epoch_order.h"

namespace lora {

// Fills rows up. It is masked everywhere, so that any row of the model does; a tokenizer's own
// padding token often has none.
inline constexpr std::int64_t kPadId = 0;

class TextSource {
 public:
  // `old`: the parent's samples, for replay (EpochOrder). Without shuffle: the order given.
  // Packing: best fit by decreasing length into rows of max_seq_length.
  // Length bucketing: sorted by length within 20 batches, then the batches are shuffled.
  // Throws Error (usage): as EpochOrder; a sample without ids, or longer than a packed row.
  TextSource(std::vector<TextSample> fresh, std::vector<TextSample> old, const Config& config,
             std::int64_t pad_id);

  // The next batch; never ends. No rows where this process has no batch left in the epoch.
  TextBatch next();
  // Samples of the last batch, for messages: "samples 3, 17; old samples 2".
  std::string describe_last() const;

  EpochOrder& order() { return order_; }

 private:
  const TextSample& sample(std::size_t number) const;

  std::vector<TextSample> fresh_, old_;
  std::int64_t pad_id_;
  EpochOrder order_;
  SampleOrder last_;
};

// One batch of rows, each of one or more documents, padded on the right to the longest row.
TextBatch make_batch(const std::vector<std::vector<const TextSample*>>& rows, std::int64_t pad_id);

// Indices of the samples, long ones first.
std::vector<std::size_t> longest_first(const std::vector<TextSample>& samples);

// The same batches every time, for validation: a sample a row, in the order of longest_first.
std::vector<TextBatch> fixed_batches(const std::vector<TextSample>& samples,
                                     std::int64_t batch_size, std::int64_t pad_id);

}  // namespace lora
