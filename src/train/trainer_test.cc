// SPDX-License-Identifier: Apache-2.0
// The loop's promises, on a small adapter that learns a linear map.
#include "train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/aten.h"
#include "io/metrics_file.h"
#include "nn/layer.h"
#include "train/checkpoint.h"
#include "train/interrupt.h"

namespace lora {
namespace {

constexpr std::int64_t kSamples = 12, kIn = 5, kOut = 3, kRank = 2;

// Batches of numbered samples with different counts of targets; dropout while training.
class LinearTask : public Objective {
 public:
  LinearTask(std::int64_t batch, double dropout) : batch_(batch), dropout_(dropout) {
    const at::Tensor order = at::arange(kSamples * kIn, at::kFloat).view({kSamples, kIn});
    inputs_ = order.mul(0.37).sin();
    targets_ = order.mul(0.11).cos().narrow(1, 0, kOut);
    a_ = at::arange(kRank * kIn, at::kFloat).view({kRank, kIn}).mul(0.7).cos().mul(0.5);
    b_ = at::zeros({kOut, kRank});
  }

  std::vector<Parameter> parameters() const { return {{"x.lora_A", a_}, {"x.lora_B", b_}}; }

  Loss next() override {
    ++calls;
    if (calls == interrupt_at) request_interrupt();
    Loss total{at::zeros({}), 0};
    last_.clear();
    for (std::int64_t i = 0; i < batch_; ++i) {
      add(total, position_ % kSamples, training_mode() ? dropout_ : 0);
      ++position_;
      if (position_ % kSamples == 0) break;  // an epoch's last batch may be short
    }
    if (calls == broken_at) total.sum = total.sum * std::numeric_limits<float>::infinity();
    return total;
  }
  std::int64_t last_units() const override { return static_cast<std::int64_t>(last_.size()); }
  std::string unit() const override { return "samples"; }
  std::string describe_last() const override {
    std::string text = "samples";
    for (std::int64_t index : last_) text += " " + std::to_string(index);
    return text;
  }
  void shard(std::int64_t rank, std::int64_t size) override { share = {rank, size}; }
  double epoch() const override { return static_cast<double>(position_) / kSamples; }
  std::int64_t micro_batches_of(std::int64_t epoch) const override {
    return (kSamples + batch_ - 1) / batch_ + (epoch == 1 ? more_in_second : 0);
  }
  nlohmann::json state() const override { return {{"position", position_}}; }
  void restore(const nlohmann::json& state) override { position_ = state.at("position"); }
  std::vector<Validation> validate() override {
    Loss total{at::zeros({}), 0};
    if (!fixed_validation.empty()) {
      const double loss = fixed_validation[std::min(validations++, fixed_validation.size() - 1)];
      return {{"validation", {at::scalar_tensor(loss, at::kFloat), 1}},
              {"parent", {at::scalar_tensor(2 * loss, at::kFloat), 4}},
              {"empty", {at::zeros({}), 0}}};
    }
    at::rand({3});  // must not disturb the random numbers of training
    for (std::int64_t i = 0; i < kSamples; ++i) add(total, i, 0);
    return {{"validation", total}};
  }
  std::vector<std::string> sample(const Path&, std::int64_t) override { return {"a text"}; }

  std::int64_t calls = 0, interrupt_at = -1, broken_at = -1, more_in_second = 0;
  std::pair<std::int64_t, std::int64_t> share = {-1, -1};  // rank, size
  std::vector<double> fixed_validation;
  std::size_t validations = 0;

 private:
  void add(Loss& total, std::int64_t index, double dropout) {
    const std::int64_t count = 1 + index % kOut;  // samples weigh differently
    const at::Tensor x = at::dropout(inputs_[index], dropout, dropout > 0);
    const at::Tensor y = at::mv(b_, at::mv(a_, x));
    total.sum = total.sum + (y - targets_[index]).square().narrow(0, 0, count).sum();
    total.count += static_cast<double>(count);
    last_.push_back(index);
  }

  std::int64_t batch_, position_ = 0;
  double dropout_;
  at::Tensor inputs_, targets_, a_, b_;
  std::vector<std::int64_t> last_;
};

class Trainers : public testing::Test {
 protected:
  Trainers() : folder_(std::filesystem::temp_directory_path() / join("lora_trainer_", getpid())) {
    std::filesystem::remove_all(folder_);
    config_.optimisation.learning_rate = 0.05;
    config_.length.max_steps = 14;
    config_.optimisation.warmup_steps = 3;
    config_.watch.logging_steps = 3;
  }
  ~Trainers() override { std::filesystem::remove_all(folder_); }

  TrainResult run(LinearTask& task, bool resume = false, Precision precision = {}) {
    Trainer trainer({.config = config_,
                     .objective = task,
                     .parameters = task.parameters(),
                     .precision = precision,
                     .folder = folder_,
                     .fingerprint = "test"});
    return trainer.run(resume);
  }

  std::vector<float> weights(const LinearTask& task) {
    std::vector<float> all;
    for (const Parameter& parameter : task.parameters()) {
      const at::Tensor flat = parameter.value.detach().contiguous();
      all.insert(all.end(), flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
    }
    return all;
  }

  Config config_;
  Path folder_;
};

TEST_F(Trainers, LearnAndReport) {
  config_.length.epochs = 20;
  config_.length.max_steps.reset();
  LinearTask task(4, 0);
  const TrainResult result = run(task);
  EXPECT_EQ(result.steps, 60);
  EXPECT_EQ(result.units, 240);
  EXPECT_EQ(task.share, std::pair(std::int64_t{0}, std::int64_t{1}));
  EXPECT_NEAR(result.epochs, 20, 1e-12);
  EXPECT_LT(*result.validation_after, 0.95 * *result.validation_before);
  EXPECT_LT(result.loss_last, result.loss_first);
  const auto rows = read_metrics(folder_ / "logs" / "metrics.jsonl");
  EXPECT_EQ(rows.back()["step"], 60);
}

// Killed after several steps, also in the middle of an epoch and between two log lines.
TEST_F(Trainers, AResumedRunEqualsAnUninterruptedOneBitForBit) {
  for (const OptimizerRow& row : optimizer_rows()) {
    config_.optimisation.optimizer = row.name;
    config_.watch.keep_best = true;
    config_.length.gradient_accumulation_steps = 2;
    LinearTask whole(2, 0.3);
    const TrainResult expected = run(whole);
    const auto expected_rows = read_metrics(folder_ / "logs" / "metrics.jsonl");
    for (std::int64_t stop : {1, 8, 13, 22}) {
      std::filesystem::remove_all(folder_);
      LinearTask first(2, 0.3);
      first.interrupt_at = stop;
      const TrainResult part = run(first);
      ASSERT_TRUE(part.interrupted);
      EXPECT_EQ(part.steps, (stop + 1) / 2);
      EXPECT_TRUE(std::filesystem::exists(part.checkpoint / "state.json"));
      LinearTask second(2, 0.3);
      const TrainResult rest = run(second, true);
      EXPECT_EQ(weights(second), weights(whole)) << row.name << " stopped at " << stop;
      EXPECT_EQ(rest.best_step, expected.best_step);
      EXPECT_EQ(rest.loss_last, expected.loss_last);
      const auto rows = read_metrics(folder_ / "logs" / "metrics.jsonl");
      ASSERT_EQ(rows.size(), expected_rows.size());
      for (std::size_t i = 0; i < rows.size(); ++i) {
        EXPECT_EQ(rows[i].value("loss", 0.0), expected_rows[i].value("loss", 0.0));
      }
    }
    std::filesystem::remove_all(folder_);
  }
}

// 12 samples in batches of 8: the second window of an epoch holds only 4.
TEST_F(Trainers, AccumulationEqualsALargerBatch) {
  config_.optimisation.optimizer = "sgd";
  LinearTask large(8, 0), small(1, 0);
  run(large);
  config_.length.gradient_accumulation_steps = 8;
  run(small);
  const std::vector<float> a = weights(large), b = weights(small);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6);
  LinearTask one(8, 0), eight(1, 0);
  config_.length.gradient_accumulation_steps = 1;
  EXPECT_EQ(total_steps(config_, one), 14);
  config_.length.max_steps.reset();
  config_.length.epochs = 3;
  EXPECT_EQ(total_steps(config_, one), 6);
  config_.length.gradient_accumulation_steps = 8;
  EXPECT_EQ(total_steps(config_, eight), 6);
}

// Packed rows with replay: epochs have different numbers of micro-batches.
TEST_F(Trainers, StepsAreCountedEpochByEpoch) {
  LinearTask task(1, 0);  // 12 micro-batches an epoch, 17 in the second
  task.more_in_second = 5;
  config_.length.gradient_accumulation_steps = 5;  // 3, 4, 3, ... steps
  const auto steps = [&](double epochs) {
    config_.length.epochs = epochs;
    config_.length.max_steps.reset();
    return total_steps(config_, task);
  };
  const auto epochs = [&](std::int64_t max_steps) {
    config_.length.epochs.reset();
    config_.length.max_steps = max_steps;
    return total_epochs(config_, task);
  };
  EXPECT_EQ(steps(0.1), 1);
  EXPECT_EQ(steps(1), 3);
  EXPECT_EQ(steps(1.5), 5);
  EXPECT_EQ(steps(2), 7);
  EXPECT_EQ(steps(3), 10);
  EXPECT_EQ(steps(4.5), 15);  // 13 and half of 3
  EXPECT_EQ(epochs(3), 1);
  EXPECT_EQ(epochs(5), 1.5);
  EXPECT_EQ(epochs(10), 3);
  EXPECT_DOUBLE_EQ(epochs(14), 4 + 1.0 / 3);
  config_.length.epochs = 2.5;
  config_.length.max_steps.reset();
  EXPECT_EQ(total_epochs(config_, task), 2.5);
}

TEST_F(Trainers, ALossThatIsNotFiniteStopsTheRunAndSavesNothing) {
  config_.watch.save_steps = 4;
  LinearTask task(4, 0);
  task.broken_at = 6;
  try {
    run(task);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("step 6: the loss is not finite (batch: samples "
                                                  "8 9 10 11); no adapter was saved. Try a lower"));
  }
  EXPECT_EQ(newest_checkpoint(folder_ / "checkpoints")->filename(), "step-000004");
  for (float value : weights(task)) EXPECT_TRUE(std::isfinite(value));
}

TEST_F(Trainers, AnOverflowInFloat16SkipsTheStep) {
  LinearTask task(4, 0);
  task.broken_at = 6;
  const TrainResult result = run(task, false, {.dtype = at::kFloat, .scaled = true});
  EXPECT_EQ(result.steps, 14);
  EXPECT_EQ(task.calls, 15);
}

// A power of two scales exactly, so the result is that of the plain run.
TEST_F(Trainers, LossScalingChangesNothing) {
  LinearTask plain(4, 0), scaled(4, 0);
  run(plain);
  run(scaled, false, {.dtype = at::kFloat, .scaled = true});
  const std::vector<float> a = weights(plain), b = weights(scaled);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6);
}

TEST_F(Trainers, EarlyStoppingKeepsTheBest) {
  config_.watch.early_stopping = true;
  config_.watch.early_stopping_patience = 2;
  config_.watch.eval_steps = 2;
  LinearTask task(4, 0);
  task.fixed_validation = {5, 4, 2, 3, 3, 3};  // before the first step, then at 2, 4, 6, 8
  const TrainResult result = run(task);
  EXPECT_TRUE(result.stopped_early);
  EXPECT_EQ(result.steps, 8);
  EXPECT_EQ(result.best_step, 4);
  EXPECT_EQ(*result.validation_after, 2);
  EXPECT_EQ(*result.validation_before, 5);
}

TEST_F(Trainers, ValidationsAreLoggedByName) {
  config_.length.max_steps = 2;
  config_.watch.eval_steps = 1;
  LinearTask task(4, 0);
  task.fixed_validation = {4, 3, 2};
  run(task);
  std::string validations;
  for (const auto& row : read_metrics(folder_ / "logs" / "metrics.jsonl")) {
    if (row.contains("validation_loss")) validations += row.dump() + "\n";
  }
  EXPECT_EQ(validations, R"({"parent_loss":2.0,"step":0,"validation_loss":4.0}
{"parent_loss":1.5,"step":1,"validation_loss":3.0}
{"parent_loss":1.0,"step":2,"validation_loss":2.0}
)");
}

// A checkpoint of the very step at which the watch said stop: the run is over.
TEST_F(Trainers, AStoppedRunStaysStoppedWhenItIsResumed) {
  config_.watch.early_stopping = true;
  config_.watch.early_stopping_patience = 1;
  config_.watch.eval_steps = 2;
  config_.watch.save_steps = 2;
  LinearTask first(4, 0), second(4, 0);
  first.fixed_validation = {5, 3, 4};
  const TrainResult expected = run(first);
  EXPECT_EQ(expected.steps, 4);
  EXPECT_EQ(newest_checkpoint(folder_ / "checkpoints")->filename(), "step-000004");
  const TrainResult found = run(second, true);
  EXPECT_EQ(second.calls, 0);
  EXPECT_EQ(found.steps, 4);
  EXPECT_TRUE(found.stopped_early);
  EXPECT_EQ(found.validation_after, 3);
  EXPECT_EQ(weights(second), weights(first));
}

TEST_F(Trainers, OldCheckpointsAreRemoved) {
  config_.watch.save_steps = 3;
  config_.watch.keep_checkpoints = 2;
  LinearTask task(4, 0);
  run(task);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "checkpoints" / "step-000006"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "checkpoints" / "step-000009"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "checkpoints" / "step-000012"));
}

// Looks at the end of a run from its samples, which fail then.
struct FailingSamples : LinearTask {
  using LinearTask::LinearTask;
  std::vector<std::string> sample(const Path& folder, std::int64_t step) override {
    if (step == 0) return {};
    saved = newest_checkpoint(folder.parent_path() / "checkpoints");
    throw std::runtime_error("no memory for a picture");
  }
  std::optional<Path> saved;
};

TEST_F(Trainers, TheTrainedStateIsSavedBeforeAnythingElse) {
  config_.sampling.sample_prompts = {"a prompt"};
  FailingSamples task(4, 0);
  const TrainResult result = run(task);
  EXPECT_EQ(result.steps, 14);
  EXPECT_FALSE(result.interrupted);
  ASSERT_TRUE(task.saved);
  EXPECT_EQ(task.saved->filename(), "step-000014");
  EXPECT_EQ(result.checkpoint, *task.saved);
  // A resumed run has nothing left to train.
  FailingSamples again(4, 0);
  const TrainResult resumed = run(again, true);
  EXPECT_EQ(again.calls, 0);
  EXPECT_EQ(resumed.validation_after, result.validation_after);
  EXPECT_EQ(weights(again), weights(task));
  remove_checkpoint(result.checkpoint);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "checkpoints"));
}

TEST_F(Trainers, ResumeWithoutACheckpointStartsAgain) {
  LinearTask resumed(4, 0), fresh(4, 0);
  run(resumed, true);
  run(fresh);
  EXPECT_EQ(weights(resumed), weights(fresh));
}

TEST_F(Trainers, ResumeRefusesWhatDoesNotFit) {
  config_.watch.save_steps = 3;
  LinearTask task(4, 0);
  run(task);
  // An incomplete checkpoint is passed over.
  std::filesystem::create_directories(folder_ / "checkpoints" / "step-000013");
  EXPECT_EQ(newest_checkpoint(folder_ / "checkpoints")->filename(), "step-000014");
  LinearTask again(4, 0);
  Trainer other({.config = config_,
                 .objective = again,
                 .parameters = again.parameters(),
                 .precision = {},
                 .folder = folder_,
                 .fingerprint = "another configuration"});
  EXPECT_THROW(other.run(true), Error);
}

}  // namespace
}  // namespace lora
