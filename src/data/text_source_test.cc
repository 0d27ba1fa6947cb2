// SPDX-License-Identifier: Apache-2.0
#include "data/text_source.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"

namespace lora {
namespace {

// Sample i: 2 + i % 7 tokens, all equal to `first` + i.
std::vector<TextSample> make_samples(std::int64_t count, std::int64_t first) {
  std::vector<TextSample> out;
  for (std::int64_t i = 0; i < count; ++i) {
    TextSample sample;
    sample.ids.assign(static_cast<std::size_t>(2 + i % 7), first + i);
    sample.labels = sample.ids;
    sample.labels[0] = kIgnore;
    out.push_back(sample);
  }
  return out;
}

bool same(const TextBatch& a, const TextBatch& b) {
  return a.rows == b.rows && a.length == b.length && a.ids == b.ids && a.labels == b.labels &&
         a.positions == b.positions && a.documents == b.documents;
}

// How often the first token of each document occurs in an epoch.
std::map<std::int64_t, int> seen_in_epoch(SampleSource& source, std::int64_t batches) {
  std::map<std::int64_t, int> seen;
  for (std::int64_t b = 0; b < batches; ++b) {
    const TextBatch batch = source.next();
    for (std::size_t i = 0; i < batch.ids.size(); ++i) {
      if (batch.documents[i] > 0 && batch.positions[i] == 0) ++seen[batch.ids[i]];
    }
  }
  return seen;
}

TextDataOptions options_for(int variant) {
  TextDataOptions options;
  options.max_seq_length = 16;
  options.batch_size = 3;
  options.packing = (variant & 1) != 0;
  options.shuffle = (variant & 2) != 0;
  options.replay = (variant & 4) != 0 ? 0.4 : 0;
  options.length_bucketing = (variant & 8) != 0;
  options.seed = 5;
  return options;
}

TEST(SampleSource, EverySampleOnceAnEpochAndNothingIsDropped) {
  for (int variant = 0; variant < 16; ++variant) {
    const TextDataOptions options = options_for(variant);
    SampleSource source(make_samples(23, 100), make_samples(9, 500), options);
    for (int epoch = 0; epoch < 3; ++epoch) {
      const std::int64_t batches = source.batches_until(epoch + 1) - source.batches_until(epoch);
      std::map<std::int64_t, int> seen = seen_in_epoch(source, batches);
      int old = 0;
      for (const auto& [id, count] : seen) old += id >= 500 ? count : 0;
      for (std::int64_t id = 100; id < 123; ++id) EXPECT_EQ(seen[id], 1) << variant;
      EXPECT_EQ(old, options.replay > 0 ? 15 : 0) << variant;  // 23 * 0.4 / 0.6
      EXPECT_DOUBLE_EQ(source.epoch(), epoch + 1);
    }
  }
}

TEST(SampleSource, RestoresAtEveryBatch) {
  for (int variant = 0; variant < 16; ++variant) {
    const TextDataOptions options = options_for(variant);
    SampleSource source(make_samples(23, 100), make_samples(9, 500), options);
    const std::int64_t batches = source.batches_until(2.5);
    for (std::int64_t b = 0; b < batches; ++b) {
      const nlohmann::json state = nlohmann::json::parse(source.state().dump());
      SampleSource resumed(make_samples(23, 100), make_samples(9, 500), options);
      resumed.restore(state);
      EXPECT_DOUBLE_EQ(resumed.epoch(), source.epoch());
      SampleSource probe(make_samples(23, 100), make_samples(9, 500), options);
      probe.restore(state);
      const TextBatch next = source.next();
      EXPECT_TRUE(same(next, resumed.next())) << variant << " at " << b;
      const nlohmann::json after = source.state();
      const TextBatch following = source.next();
      EXPECT_TRUE(same(following, resumed.next())) << variant << " at " << b;
      source.restore(after);
    }
  }
}

TEST(SampleSource, OrdersDifferByEpochAndSeedOnly) {
  const TextDataOptions options = options_for(2);
  SampleSource a(make_samples(23, 100), {}, options), b(make_samples(23, 100), {}, options);
  std::vector<TextBatch> first, second;
  for (std::int64_t i = 0; i < a.batches_per_epoch(); ++i) first.push_back(a.next());
  for (std::int64_t i = 0; i < a.batches_per_epoch(); ++i) second.push_back(a.next());
  bool differs = false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(same(first[i], b.next()));
    differs = differs || !same(first[i], second[i]);
  }
  EXPECT_TRUE(differs);
}

TEST(SampleSource, ReplayDrawsAnewInEveryEpoch) {
  TextDataOptions options = options_for(2);
  options.replay = 0.5;
  SampleSource source(make_samples(10, 100), make_samples(40, 500), options);
  EXPECT_EQ(source.old_per_epoch(), 10);
  std::set<std::int64_t> all;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::set<std::int64_t> old;
    for (const auto& [id, count] : seen_in_epoch(source, source.batches_per_epoch())) {
      if (id >= 500) old.insert(id);
    }
    EXPECT_EQ(old.size(), 10U);
    all.insert(old.begin(), old.end());
  }
  EXPECT_GT(all.size(), 15U);
}

TEST(SampleSource, PacksDocumentsWithPositionsOfTheirOwn) {
  TextDataOptions options = options_for(1);
  options.batch_size = 1;
  options.max_seq_length = 7;
  std::vector<TextSample> samples = make_samples(3, 100);  // 2, 3 and 4 tokens
  samples[1].labels[0] = 101;                              // never a target
  SampleSource source(samples, {}, options);
  const TextBatch batch = source.next();
  EXPECT_EQ(batch.documents, (std::vector<std::int64_t>{1, 1, 2, 2, 2}));
  EXPECT_EQ(batch.positions, (std::vector<std::int64_t>{0, 1, 0, 1, 2}));
  EXPECT_EQ(batch.labels, (std::vector<std::int64_t>{-100, 100, -100, 101, 101}));
  EXPECT_EQ(batch.targets(), 3);
  EXPECT_EQ(source.batches_per_epoch(), 2);
}

TEST(SampleSource, RowsOfPackedEpochsDependOnLengthsAlone) {
  const TextDataOptions options = options_for(3);
  SampleSource source(make_samples(50, 100), {}, options);
  for (int epoch = 1; epoch < 4; ++epoch) {
    for (std::int64_t i = 0; i < source.batches_per_epoch(); ++i) source.next();
    EXPECT_DOUBLE_EQ(source.epoch(), epoch);
  }
}

TEST(SampleSource, ComplainsAboutForeignStateAndOptions) {
  const TextDataOptions options = options_for(2);
  SampleSource source(make_samples(5, 100), {}, options);
  SampleSource other(make_samples(6, 100), {}, options);
  const auto message = [](auto call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] { source.restore(other.state()); }),
            "checkpoint: it belongs to other training data or other data settings; resume with "
            "the files and the configuration of the interrupted run");
  EXPECT_EQ(message([&] { SampleSource({}, {}, options); }), "text data: no samples to train on");
  TextDataOptions replay = options;
  replay.replay = 0.5;
  EXPECT_EQ(message([&] { SampleSource(make_samples(5, 100), {}, replay); }),
            "replay: there are no old samples to draw from; set replay: 0 or give the parent's "
            "data");
  TextDataOptions narrow = options;
  narrow.packing = true;
  narrow.max_seq_length = 3;
  EXPECT_EQ(message([&] { SampleSource(make_samples(5, 100), {}, narrow); }),
            "text data: a sample of 4 tokens does not fit a packed row (max_seq_length 3)");
}

TEST(SampleSource, ValidationBatchesHoldEverySample) {
  TextDataOptions options = options_for(0);
  std::int64_t targets = 0, wanted = 0;
  const std::vector<TextSample> samples = make_samples(11, 100);
  for (const TextBatch& batch : fixed_batches(samples, options)) targets += batch.targets();
  for (const TextSample& sample : samples)
    wanted += static_cast<std::int64_t>(sample.ids.size()) - 1;
  EXPECT_EQ(targets, wanted);
}

}  // namespace
}  // namespace lora
