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

// Labels of all rows but those that no position before them predicts.
std::int64_t targets(const TextBatch& batch) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < batch.labels.size(); ++i) {
    count += i % static_cast<std::size_t>(batch.length) > 0 && batch.labels[i] != kIgnore;
  }
  return count;
}

bool same(const TextBatch& a, const TextBatch& b) {
  return a.rows == b.rows && a.length == b.length && a.ids == b.ids && a.labels == b.labels &&
         a.positions == b.positions && a.documents == b.documents;
}

// How often the first token of each document occurs in an epoch.
std::map<std::int64_t, int> seen_in_epoch(TextSource& source, std::int64_t batches) {
  std::map<std::int64_t, int> seen;
  for (std::int64_t b = 0; b < batches; ++b) {
    const TextBatch batch = source.next();
    for (std::size_t i = 0; i < batch.ids.size(); ++i) {
      if (batch.documents[i] > 0 && batch.positions[i] == 0) ++seen[batch.ids[i]];
    }
  }
  return seen;
}

Config options_for(int variant) {
  Config options;
  options.text.max_seq_length = 16;
  options.length.batch_size = 3;
  options.text.packing = (variant & 1) != 0;
  options.data.shuffle = (variant & 2) != 0;
  options.increment.replay = (variant & 4) != 0 ? 0.4 : 0;
  options.text.length_bucketing = (variant & 8) != 0;
  options.seed = 5;
  return options;
}

TEST(TextSource, EverySampleOnceAnEpochAndNothingIsDropped) {
  for (int variant = 0; variant < 16; ++variant) {
    const Config options = options_for(variant);
    TextSource source(make_samples(23, 100), make_samples(9, 500), options, 0);
    for (int epoch = 0; epoch < 3; ++epoch) {
      const std::int64_t batches = source.order().batches_of(epoch);
      std::map<std::int64_t, int> seen = seen_in_epoch(source, batches);
      int old = 0;
      for (const auto& [id, count] : seen) old += id >= 500 ? count : 0;
      for (std::int64_t id = 100; id < 123; ++id) EXPECT_EQ(seen[id], 1) << variant;
      EXPECT_EQ(old, options.increment.replay > 0 ? 15 : 0) << variant;  // 23 * 0.4 / 0.6
      EXPECT_DOUBLE_EQ(source.order().epoch(), epoch + 1);
    }
  }
}

TEST(TextSource, RestoresAtEveryBatch) {
  for (int variant = 0; variant < 16; ++variant) {
    const Config options = options_for(variant);
    TextSource source(make_samples(23, 100), make_samples(9, 500), options, 0);
    const std::int64_t batches = source.order().batches_of(0) * 5 / 2;
    for (std::int64_t b = 0; b < batches; ++b) {
      const nlohmann::json state = nlohmann::json::parse(source.order().state().dump());
      TextSource resumed(make_samples(23, 100), make_samples(9, 500), options, 0);
      resumed.order().restore(state);
      EXPECT_DOUBLE_EQ(resumed.order().epoch(), source.order().epoch());
      TextSource probe(make_samples(23, 100), make_samples(9, 500), options, 0);
      probe.order().restore(state);
      const TextBatch next = source.next();
      EXPECT_TRUE(same(next, resumed.next())) << variant << " at " << b;
      const nlohmann::json after = source.order().state();
      const TextBatch following = source.next();
      EXPECT_TRUE(same(following, resumed.next())) << variant << " at " << b;
      source.order().restore(after);
    }
  }
}

TEST(TextSource, OrdersDifferByEpochAndSeedOnly) {
  const Config options = options_for(2);
  TextSource a(make_samples(23, 100), {}, options, 0), b(make_samples(23, 100), {}, options, 0);
  std::vector<TextBatch> first, second;
  for (std::int64_t i = 0; i < a.order().batches_of(0); ++i) first.push_back(a.next());
  for (std::int64_t i = 0; i < a.order().batches_of(0); ++i) second.push_back(a.next());
  bool differs = false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(same(first[i], b.next()));
    differs = differs || !same(first[i], second[i]);
  }
  EXPECT_TRUE(differs);
}

TEST(TextSource, ReplayDrawsAnewInEveryEpoch) {
  Config options = options_for(2);
  options.increment.replay = 0.5;
  TextSource source(make_samples(10, 100), make_samples(40, 500), options, 0);
  EXPECT_EQ(source.order().old_per_epoch(), 10);
  std::set<std::int64_t> all;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::set<std::int64_t> old;
    for (const auto& [id, count] : seen_in_epoch(source, source.order().batches_of(0))) {
      if (id >= 500) old.insert(id);
    }
    EXPECT_EQ(old.size(), 10U);
    all.insert(old.begin(), old.end());
  }
  EXPECT_GT(all.size(), 15U);
}

TEST(TextSource, PacksDocumentsWithPositionsOfTheirOwn) {
  Config options = options_for(1);
  options.length.batch_size = 1;
  options.text.max_seq_length = 7;
  std::vector<TextSample> samples = make_samples(3, 100);  // 2, 3 and 4 tokens
  samples[1].labels[0] = 101;                              // never a target
  TextSource source(samples, {}, options, 0);
  const TextBatch batch = source.next();
  EXPECT_EQ(batch.documents, (std::vector<std::int64_t>{1, 1, 2, 2, 2}));
  EXPECT_EQ(batch.positions, (std::vector<std::int64_t>{0, 1, 0, 1, 2}));
  EXPECT_EQ(batch.labels, (std::vector<std::int64_t>{-100, 100, -100, 101, 101}));
  EXPECT_EQ(targets(batch), 3);
  EXPECT_EQ(source.order().batches_of(0), 2);
}

TEST(TextSource, RowsOfPackedEpochsDependOnLengthsAlone) {
  const Config options = options_for(3);
  TextSource source(make_samples(50, 100), {}, options, 0);
  for (int epoch = 1; epoch < 4; ++epoch) {
    for (std::int64_t i = 0; i < source.order().batches_of(0); ++i) source.next();
    EXPECT_DOUBLE_EQ(source.order().epoch(), epoch);
  }
}

TEST(TextSource, ComplainsAboutForeignStateAndOptions) {
  const Config options = options_for(2);
  TextSource source(make_samples(5, 100), {}, options, 0);
  TextSource other(make_samples(6, 100), {}, options, 0);
  const auto message = [](auto call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] { source.order().restore(other.order().state()); }),
            "checkpoint: it belongs to other training data or other data settings; resume with "
            "the files and the configuration of the interrupted run");
  EXPECT_EQ(message([&] { TextSource({}, {}, options, 0); }),
            "train_data_dir: no samples to train on");
  Config replay = options;
  replay.increment.replay = 0.5;
  EXPECT_EQ(message([&] { TextSource(make_samples(5, 100), {}, replay, 0); }),
            "replay: there are no old samples to draw from; put the parent's data back, or set "
            "replay: 0");
  Config narrow = options;
  narrow.text.packing = true;
  narrow.text.max_seq_length = 3;
  EXPECT_EQ(message([&] { TextSource(make_samples(5, 100), {}, narrow, 0); }),
            "text data: a sample of 4 tokens does not fit a packed row (max_seq_length 3)");
}

TEST(TextSource, ValidationBatchesHoldEverySample) {
  std::int64_t found = 0, wanted = 0;
  const std::vector<TextSample> samples = make_samples(11, 100);
  for (const TextBatch& batch : fixed_batches(samples, 3, 0)) found += targets(batch);
  for (const TextSample& sample : samples)
    wanted += static_cast<std::int64_t>(sample.ids.size()) - 1;
  EXPECT_EQ(found, wanted);
}

}  // namespace
}  // namespace lora
