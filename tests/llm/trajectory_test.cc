// SPDX-License-Identifier: Apache-2.0
// Whole training runs against transformers + PEFT: every loss, gradient norm and learning rate,
// the weights on the way and at the end. Sizes and settings come from the files.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/aten.h"
#include "io/metrics_file.h"
#include "io/tensors.h"
#include "nn/attach.h"
#include "tests/golden_set.h"
#include "train/adapter_parameters.h"
#include "train/checkpoint.h"
#include "train/interrupt.h"
#include "train/trainer.h"

namespace lora {
namespace {

using nlohmann::json;
using test::read_json;

constexpr double kLossTolerance = 1e-5, kNormTolerance = 1e-5, kRateTolerance = 1e-9;
constexpr double kFinalTolerance = 3e-4, kElementTolerance = 1e-3, kBf16Tolerance = 5e-2;

void report(const std::string& what, const std::string& family, double measured, double allowed) {
  fmt::print("parity: {} {} {:.2e} {:.0e}\n", what, family, measured, allowed);
  EXPECT_LE(measured, allowed) << what << " of " << family;
}

TextTensors batch_of(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& labels) {
  const at::Tensor positions = at::arange(ids.size(-1), at::kLong).expand(ids.sizes()).contiguous();
  return {.ids = ids,
          .labels = labels,
          .positions = positions,
          .documents = mask.min().item<std::int64_t>() == 1 ? at::Tensor() : mask};
}

// The micro-batches of a golden file, [step, micro-batch, row, position], in their order.
class GoldenBatches : public Objective {
 public:
  GoldenBatches(CausalLM& model, const TensorMap& tensors)
      : model_(model),
        ids_(tensors.at("input_ids")),
        mask_(tensors.at("attention_mask")),
        labels_(tensors.at("labels")) {}

  Loss next() override {
    const std::int64_t step = at_ / ids_.size(1), micro = at_ % ids_.size(1);
    if (++at_ == interrupt_at) request_interrupt();
    return model_.loss(batch_of(ids_[step][micro], mask_[step][micro], labels_[step][micro]));
  }
  std::int64_t last_units() const override { return ids_.size(2) * ids_.size(3); }
  std::string unit() const override { return "tokens"; }
  std::string describe_last() const override { return join("micro-batch ", at_); }
  void shard(std::int64_t, std::int64_t) override {}
  double epoch() const override { return static_cast<double>(at_) / (ids_.size(0) * ids_.size(1)); }
  std::int64_t micro_batches_of(std::int64_t) const override { return ids_.size(0) * ids_.size(1); }
  json state() const override { return at_; }
  void restore(const json& state) override { at_ = state.get<std::int64_t>(); }
  std::vector<Validation> validate() override { return {}; }
  std::vector<std::string> sample(const Path&, std::int64_t) override { return {}; }

  std::int64_t interrupt_at = -1;

 private:
  CausalLM& model_;
  at::Tensor ids_, mask_, labels_;
  std::int64_t at_ = 0;
};

Config recipe(const json& h) {
  Config config;
  config.optimisation.learning_rate = h.at("base_lr").get<double>();
  config.optimisation.lr_scheduler = "cosine";
  config.optimisation.warmup_steps = h.at("warmup_steps").get<std::int64_t>();
  config.length.max_steps = h.at("total_steps").get<std::int64_t>();
  config.length.gradient_accumulation_steps =
      h.at("gradient_accumulation_steps").get<std::int64_t>();
  config.optimisation.weight_decay = h.at("weight_decay").get<double>();
  config.optimisation.max_grad_norm = h.at("max_grad_norm").get<double>();
  config.optimisation.adam_beta1 = h.at("betas")[0].get<double>();
  config.optimisation.adam_beta2 = h.at("betas")[1].get<double>();
  config.optimisation.adam_epsilon = h.at("eps").get<double>();
  config.optimisation.loraplus_lr_ratio = h.value("loraplus_lr_ratio", 1.0);
  config.watch.save_steps = 1;
  config.watch.keep_checkpoints = 0;
  return config;
}

// A model with an adapter, and the run of one golden file.
class GoldenRun {
 public:
  GoldenRun(const Path& base, const Path& adapter, at::ScalarType dtype = at::kFloat)
      : folder_(std::filesystem::temp_directory_path() / join("lora_trajectory_", getpid())),
        model_(load_causal_lm(base, {.dtype = dtype})),
        layers_(layers_of(*model_)) {
    std::filesystem::remove_all(folder_);
    const AdapterFile file = read_adapter(adapter);
    attach(file, match_adapter(file, shapes_of(layers_)), layers_);
  }
  ~GoldenRun() { std::filesystem::remove_all(folder_); }
  GoldenRun(const GoldenRun&) = delete;
  GoldenRun& operator=(const GoldenRun&) = delete;

  // Starts from `prefix` + name of `tensors` ("init.").
  void start_from(const TensorMap& tensors, const std::string& prefix) {
    const at::NoGradGuard no_grad;
    for (Parameter& parameter : adapter_parameters(layers_)) {
      parameter.value.copy_(tensors.at(prefix + parameter.name));
    }
  }

  void set_dropout(double dropout) {
    for (NamedLayer& named : layers_) {
      for (Adapter& adapter : named.layer->adapters) adapter.dropout = dropout;
    }
  }

  TrainResult train(const TensorMap& tensors, const Config& config, bool resume = false,
                    std::int64_t interrupt_at = -1) {
    GoldenBatches batches(*model_, tensors);
    batches.interrupt_at = interrupt_at;
    Trainer trainer({.config = config,
                     .objective = batches,
                     .parameters = adapter_parameters(layers_),
                     .precision = {},
                     .folder = folder_,
                     .fingerprint = "golden"});
    return trainer.run(resume);
  }

  TensorMap weights() {
    TensorMap tensors;
    for (const Parameter& parameter : adapter_parameters(layers_)) {
      tensors[parameter.name] = parameter.value.detach().clone();
    }
    return tensors;
  }

  Path checkpoint(std::int64_t step) const {
    return folder_ / "checkpoints" / fmt::format("step-{:06d}", step);
  }
  Path metrics() const { return folder_ / "logs" / "metrics.jsonl"; }
  CausalLM& model() { return *model_; }

 private:
  Path folder_;
  std::unique_ptr<CausalLM> model_;
  std::vector<NamedLayer> layers_;
};

double relative(double found, double expected) {
  return expected == 0 ? std::abs(found) : std::abs(found - expected) / std::abs(expected);
}

// Losses, gradient norms and rates of the log against the lists of the json file.
void compare_steps(const Path& metrics, const json& expected, const std::string& family,
                   double loss_tolerance = kLossTolerance) {
  const std::vector<json> rows = read_metrics(metrics);
  ASSERT_EQ(rows.size(), expected.at("loss").size());
  double loss = 0, norm = 0, rate = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    loss = std::max(loss, relative(rows[i]["loss"], expected["loss"][i]));
    norm = std::max(norm, relative(rows[i]["grad_norm"], expected["grad_norm"][i]));
    rate = std::max(rate, relative(rows[i]["lr"], expected["lr"][i]));
  }
  report("train-loss", family, loss, loss_tolerance);
  report("train-grad-norm", family, norm, kNormTolerance);
  report("train-lr", family, rate, kRateTolerance);
}

void compare_weights(const TensorMap& found, const TensorMap& expected, const std::string& prefix,
                     const std::string& family) {
  double frobenius = 0, element = 0;
  std::size_t compared = 0;
  for (const auto& [name, tensor] : expected) {
    if (!name.starts_with(prefix)) continue;
    ++compared;
    const at::Tensor ours = found.at(name.substr(prefix.size())).to(at::kDouble);
    const at::Tensor theirs = tensor.to(at::kDouble);
    const at::Tensor difference = ours - theirs;
    // At step 0 the rate is 0, and B starts at 0: a zero tensor must stay exactly zero.
    const double scale = std::max(theirs.norm().item<double>(), 1e-30);
    frobenius = std::max(frobenius, difference.norm().item<double>() / scale);
    const double largest = std::max(theirs.abs().max().item<double>(), 1e-30);
    element = std::max(element, difference.abs().max().item<double>() / largest);
  }
  ASSERT_EQ(compared, found.size());
  report("train-weights-" + prefix + "frobenius", family, frobenius, kFinalTolerance);
  report("train-weights-" + prefix + "max", family, element, kElementTolerance);
}

class GoldenTrajectory : public testing::TestWithParam<std::string> {};

TEST_P(GoldenTrajectory, TwentySteps) {
  const std::string family = GetParam();
  const Path folder = test::golden() / "llm" / family;
  const json expected = read_json(folder / "train.json");
  const TensorMap tensors = read_tensors(folder / "train.safetensors");
  GoldenRun run(folder / "model", folder / "lora");
  run.start_from(tensors, "init.");
  const TrainResult result = run.train(tensors, recipe(expected.at("hyperparameters")));
  EXPECT_EQ(result.steps, static_cast<std::int64_t>(expected["loss"].size()));
  compare_steps(run.metrics(), expected, family);
  for (const int step : {2, 5, 10}) {
    const TensorMap saved = read_tensors(run.checkpoint(step) / "adapter.safetensors");
    compare_weights(saved, tensors, fmt::format("step_{:02d}.", step), family);
  }
  compare_weights(run.weights(), tensors, "final.", family);
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenTrajectory, testing::ValuesIn(test::families()),
                         test::family_name);

TEST(GoldenTrajectories, AdamWStateAfterTenSteps) {
  const Path folder = test::golden() / "llm" / "llama";
  const TensorMap tensors = read_tensors(folder / "train.safetensors");
  Config config = recipe(read_json(folder / "train.json").at("hyperparameters"));
  GoldenRun run(folder / "model", folder / "lora");
  run.start_from(tensors, "init.");
  run.train(tensors, config);
  const TensorMap state = read_tensors(run.checkpoint(10) / "optimizer.safetensors");
  double worst = 0;
  int compared = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with("opt_10.")) continue;
    const std::size_t dot = name.rfind('.');
    const std::string key = name.substr(dot + 1) + "." + name.substr(7, dot - 7);
    const at::Tensor difference = state.at(key) - tensor;
    worst = std::max(worst, (difference.norm() / tensor.norm()).item<double>());
    ++compared;
  }
  EXPECT_GT(compared, 0);
  report("adamw-state-10", "llama", worst, 1e-4);
}

TEST(GoldenTrajectories, LoraPlus) {
  const Path folder = test::golden() / "llm" / "llama";
  const json expected = read_json(folder / "train_loraplus.json");
  const TensorMap data = read_tensors(folder / "train.safetensors");
  const TensorMap tensors = read_tensors(folder / "train_loraplus.safetensors");
  GoldenRun run(folder / "model", folder / "lora");
  run.start_from(tensors, "init.");
  run.train(data, recipe(expected.at("hyperparameters")));
  compare_steps(run.metrics(), expected, "llama-loraplus");
  compare_weights(run.weights(), tensors, "final.", "llama-loraplus");
}

TEST(GoldenTrajectories, Bfloat16) {
  const Path folder = test::golden() / "llm" / "llama";
  const json expected = read_json(folder / "train_bf16_autocast.json");
  const TensorMap tensors = read_tensors(folder / "train.safetensors");
  GoldenRun run(folder / "model", folder / "lora", at::kBFloat16);
  run.start_from(tensors, "init.");
  run.train(tensors, recipe(expected.at("hyperparameters")));
  const std::vector<json> rows = read_metrics(run.metrics());
  double worst = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    worst = std::max(worst,
                     std::abs(rows[i]["loss"].get<double>() - expected["loss"][i].get<double>()));
  }
  report("train-bf16-loss-absolute", "llama", worst, kBf16Tolerance);
}

double mean_loss(CausalLM& model, const TensorMap& tensors, const std::string& set) {
  const at::NoGradGuard no_grad;
  const Loss loss =
      model.loss(batch_of(tensors.at(set + "_input_ids"), tensors.at(set + "_attention_mask"),
                          tensors.at(set + "_labels")));
  return loss.sum.item<double>() / loss.count;
}

void compare_validation(GoldenRun& run, const std::string& version) {
  const Path folder = test::golden() / "llm" / "warmstart";
  const json expected = read_json(folder / "validation.json");
  const TensorMap tensors = read_tensors(folder / "validation.safetensors");
  for (const char* set : {"A", "B"}) {
    const double wanted = expected["mean_loss"][version][set];
    report(join("validation-", set), "warmstart-" + version,
           relative(mean_loss(run.model(), tensors, set), wanted), kLossTolerance);
  }
}

TEST(GoldenWarmStart, FirstPhase) {
  const Path folder = test::golden() / "llm" / "warmstart";
  const json expected = read_json(folder / "phase1.json");
  const TensorMap tensors = read_tensors(folder / "phase1.safetensors");
  GoldenRun run(folder.parent_path() / "llama" / "model", folder / "v1");
  compare_validation(run, "v1");
  run.start_from(tensors, "init.");
  run.train(tensors, recipe(expected.at("hyperparameters")));
  compare_steps(run.metrics(), expected, "warmstart-phase1");
  compare_weights(run.weights(), tensors, "final.", "warmstart-phase1");
  compare_validation(run, "v1");
}

TEST(GoldenWarmStart, SecondPhaseContinuesTheFirst) {
  const Path folder = test::golden() / "llm" / "warmstart";
  const json expected = read_json(folder / "phase2.json");
  const TensorMap tensors = read_tensors(folder / "phase2.safetensors");
  GoldenRun run(folder.parent_path() / "llama" / "model", folder / "v1");
  run.train(tensors, recipe(expected.at("hyperparameters")));
  compare_steps(run.metrics(), expected, "warmstart-phase2");
  compare_weights(run.weights(), tensors, "final.", "warmstart-phase2");
  compare_validation(run, "v2");
}

TEST(GoldenWarmStart, AGrownAdapterTrainsOn) {
  const Path folder = test::golden() / "llm" / "warmstart";
  const json expected = read_json(folder / "grow.json").at("continued_training");
  const TensorMap data = read_tensors(folder / "phase2.safetensors");
  const TensorMap tensors = read_tensors(folder / "grow.safetensors");
  GoldenRun run(folder.parent_path() / "llama" / "model", folder / "grown_r8");
  run.train(data, recipe(expected.at("hyperparameters")));
  compare_steps(run.metrics(), expected, "warmstart-grow");
  compare_weights(run.weights(), tensors, "final.", "warmstart-grow");
}

// A real model, dropout on: killed at several steps and resumed, the same bytes.
TEST(GoldenResume, EqualsTheUninterruptedRunBitForBit) {
  const Path folder = test::golden() / "llm" / "llama";
  const TensorMap tensors = read_tensors(folder / "train.safetensors");
  Config config = recipe(read_json(folder / "train.json").at("hyperparameters"));
  config.watch.save_steps = 0;
  const std::int64_t last = tensors.at("input_ids").size(0) * tensors.at("input_ids").size(1);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto fresh = [&] {
      auto run = std::make_unique<GoldenRun>(folder / "model", folder / "lora", dtype);
      run->start_from(tensors, "init.");
      run->set_dropout(0.2);
      return run;
    };
    auto whole = fresh();
    whole->train(tensors, config);
    const TensorMap expected = whole->weights();
    whole.reset();
    for (const std::int64_t stop : {std::int64_t{2}, last / 4 + 1, last * 2 / 3 + 1, last - 2}) {
      auto run = fresh();
      EXPECT_TRUE(run->train(tensors, config, false, stop).interrupted);
      run->start_from(tensors, "init.");  // what follows must come from the checkpoint
      run->train(tensors, config, true);
      for (const auto& [name, tensor] : run->weights()) {
        EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name << " stopped at " << stop;
      }
    }
  }
}

}  // namespace
}  // namespace lora
