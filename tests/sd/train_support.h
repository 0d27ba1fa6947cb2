// SPDX-License-Identifier: Apache-2.0
// Runs the trainer on the stored micro-batches of golden/sd and compares with the stored numbers.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "io/adapters/adapter_file.h"
#include "io/adapters/match.h"
#include "io/metrics_file.h"
#include "tests/sd/sd_support.h"
#include "train/adapter_parameters.h"
#include "train/diffusion_loss.h"
#include "train/image_objective.h"
#include "train/interrupt.h"
#include "train/trainer.h"

namespace lora::test {

using nlohmann::json;

// Relative L2 difference of the weights; share of entries that may leave their own tolerance,
// because AdamW turns a gradient near zero into a full step.
inline constexpr double kWeights = 1e-4, kStrayShare = 1e-3, kRate = 1e-9;

using MicroLoss = std::function<Loss(std::int64_t number)>;

// Micro-batches by number; remembers each loss.
class GoldenBatches final : public Objective {
 public:
  GoldenBatches(MicroLoss loss, std::int64_t count) : loss_(std::move(loss)), count_(count) {}

  Loss next() override {
    if (before) before(at_);
    if (at_ == interrupt_at) request_interrupt();
    const Loss loss = loss_(at_++);
    losses.push_back(loss.sum.item<double>() / loss.count);
    return loss;
  }
  std::int64_t last_units() const override { return 1; }
  std::string unit() const override { return "images"; }
  std::string describe_last() const override { return join("micro-batch ", at_); }
  void shard(std::int64_t, std::int64_t) override {}
  double epoch() const override { return static_cast<double>(at_) / static_cast<double>(count_); }
  std::int64_t micro_batches_of(std::int64_t) const override { return count_; }
  json state() const override { return at_; }
  void restore(const json& state) override { at_ = state.get<std::int64_t>(); }
  std::vector<Validation> validate() override { return {}; }
  std::vector<std::string> sample(const Path&, std::int64_t) override { return {}; }

  std::function<void(std::int64_t number)> before;
  std::vector<double> losses;
  std::int64_t interrupt_at = -1;

 private:
  MicroLoss loss_;
  std::int64_t count_, at_ = 0;
};

inline Config recipe(const json& settings, const json& optimizer) {
  Config config;
  config.optimisation.learning_rate = settings.at("lr").get<double>();
  if (settings.contains("te_lr"))
    config.optimisation.text_encoder_lr = settings["te_lr"].get<double>();
  config.optimisation.lr_scheduler = settings.at("sched").get<std::string>();
  config.optimisation.warmup_steps = settings.at("warmup").get<std::int64_t>();
  config.length.max_steps = settings.at("updates").get<std::int64_t>();
  config.length.gradient_accumulation_steps = settings.at("accum").get<std::int64_t>();
  config.optimisation.max_grad_norm = settings.at("clip").get<double>();
  config.optimisation.weight_decay = settings.at("wd").get<double>();
  config.optimisation.adam_beta1 = optimizer.at("betas")[0].get<double>();
  config.optimisation.adam_beta2 = optimizer.at("betas")[1].get<double>();
  config.optimisation.adam_epsilon = optimizer.at("eps").get<double>();
  config.images.clip_skip = settings.value("clip_skip", 0);
  config.watch.logging_steps = 1;
  return config;
}

struct Trained {
  std::vector<double> micro_losses, weight_norms;
  std::vector<json> rows;  // of metrics.jsonl
};

// The tiny model and the adapters in it.
class GoldenRun {
 public:
  GoldenRun()
      : folder_(std::filesystem::temp_directory_path() / join("lora_sd_training_", getpid())),
        model_(load_golden("tiny-sd15")),
        layers_(layers_of(*model_)) {}
  ~GoldenRun() { std::filesystem::remove_all(folder_); }
  GoldenRun(const GoldenRun&) = delete;
  GoldenRun& operator=(const GoldenRun&) = delete;

  void load(const std::string& file) {
    const AdapterFile adapter = read_adapter(sd_golden(file));
    const auto shapes = shapes_of(layers_);
    const AdapterMatch match = match_adapter(adapter, shapes);
    require_complete(match, adapter, shapes);
    for (const auto& pair : match.matched) layers_[pair.layer].layer->adapters.clear();
    attach(adapter, match, layers_);
  }

  Trained train(const Config& config, const MicroLoss& loss, std::int64_t interrupt_at = -1) {
    std::filesystem::remove_all(folder_);
    const std::int64_t accumulation = config.length.gradient_accumulation_steps;
    GoldenBatches batches(loss, *config.length.max_steps * accumulation);
    batches.interrupt_at = interrupt_at;
    Trained trained;
    batches.before = [&](std::int64_t number) {
      if (number > 0 && number % accumulation == 0) trained.weight_norms.push_back(norm());
    };
    Trainer trainer({.config = config,
                     .objective = batches,
                     .parameters = adapter_parameters(
                         learning_layers(*model_, config.images.clip_skip, layers_), ""),
                     .precision = {},
                     .folder = folder_,
                     .fingerprint = "golden"});
    trainer.run(false);
    trained.weight_norms.push_back(norm());
    trained.micro_losses = batches.losses;
    trained.rows = read_metrics(folder_ / "logs" / "metrics.jsonl");
    return trained;
  }

  bool trains_text() const {
    return std::any_of(layers_.begin(), layers_.end(), [](const NamedLayer& layer) {
      return !layer.layer->adapters.empty() && layer.name.starts_with("text_encoder");
    });
  }
  const Adapter* adapter(const std::string& name) const {
    for (const NamedLayer& layer : layers_) {
      if (layer.name == name && !layer.layer->adapters.empty()) return &layer.layer->adapters[0];
    }
    return nullptr;
  }
  StableDiffusion& model() { return *model_; }

 private:
  double norm() const {
    double sum = 0;
    for (const NamedLayer& layer : layers_) {
      for (const Adapter& adapter : layer.layer->adapters) {
        sum += adapter.a.detach().to(at::kDouble).square().sum().item<double>();
        sum += adapter.b.detach().to(at::kDouble).square().sum().item<double>();
      }
    }
    return std::sqrt(sum);
  }

  Path folder_;
  std::unique_ptr<StableDiffusion> model_;
  std::vector<NamedLayer> layers_;
};

// Micro-batches of a data file under the settings of one variant.
class Batches {
 public:
  Batches(GoldenRun& run, const std::string& file, const json& settings, std::int64_t class_prompt)
      : run_(run), data_(read_tensors(sd_golden(file))), class_prompt_(class_prompt) {
    ScheduleConfig config = run.model().config().schedule;
    if (settings.at("pred") == "v_prediction") config.prediction = Prediction::v;
    schedule_.emplace(config);
    if (settings.contains("snr_gamma")) options_.snr_gamma = settings["snr_gamma"].get<double>();
    with_prior_ = settings.contains("prior_weight");
    if (with_prior_) options_.prior_weight = settings["prior_weight"].get<double>();
    clip_skip_ = settings.value("clip_skip", 0);
    numbers_ = settings.value("uses_micro_batches", std::vector<std::int64_t>());
  }

  Loss loss(std::int64_t number) const {
    return diffusion_loss(run_.model(), *schedule_, batch(number), options_);
  }

  DiffusionBatch batch(std::int64_t number) const {
    const auto row = static_cast<std::size_t>(number);
    const std::int64_t at = numbers_.empty() ? number : numbers_.at(row);
    DiffusionBatch batch{.latents = data_.at("latents")[at],
                         .noise = data_.at("noise")[at],
                         .timesteps = data_.at("timesteps")[at]};
    at::Tensor captions = data_.at("caption_index")[at];
    if (with_prior_) {
      batch.prior = data_.at("class_latents").size(1);
      batch.latents = at::cat({batch.latents, data_.at("class_latents")[at]});
      batch.noise = at::cat({batch.noise, data_.at("class_noise")[at]});
      batch.timesteps = at::cat({batch.timesteps, data_.at("class_timesteps")[at]});
      captions = at::cat({captions, at::full({batch.prior}, class_prompt_, at::kLong)});
    }
    batch.text = text(captions);
    return batch;
  }

  TextStates text(const at::Tensor& captions) const {
    if (!run_.trains_text()) return {data_.at("encoder_states").index_select(0, captions), {}};
    return run_.model().encode_prompt(data_.at("input_ids").index_select(0, captions), {},
                                      clip_skip_);
  }
  const NoiseSchedule& schedule() const { return *schedule_; }

 private:
  GoldenRun& run_;
  TensorMap data_;
  std::int64_t class_prompt_ = 0, clip_skip_ = 0;
  std::optional<NoiseSchedule> schedule_;
  DiffusionOptions options_;
  bool with_prior_ = false;
  std::vector<std::int64_t> numbers_;
};

// Largest difference of two lists of numbers.
inline double difference(const std::vector<double>& found, const json& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double worst = found.size() == expected.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    worst = std::max(worst, std::abs(found[i] - expected[i].get<double>()));
  }
  return worst;
}

inline void expect_within(const std::string& what, double measured, double allowed) {
  report(what, measured, allowed);
  EXPECT_LE(measured, allowed) << what;
}

inline std::vector<double> column(const std::vector<json>& rows, const char* name) {
  std::vector<double> values;
  for (const json& row : rows) values.push_back(row.at(name).get<double>());
  return values;
}

// Against the lists of `file`, in the tolerances of group "<variant>: ...".
inline void compare_run(const std::string& file, const std::string& variant, const Trained& found,
                        const json& expected) {
  const std::string what = file + ":" + variant + " ";
  const auto check = [&](const char* name, const std::vector<double>& values, const char* group) {
    expect_within(what + name, difference(values, expected.at(name)),
                  tolerance(file, variant + ": " + group));
  };
  check("micro_loss", found.micro_losses, "micro_loss");
  check("update_loss", column(found.rows, "loss"), "micro_loss");
  check("grad_norm_before_clip", column(found.rows, "grad_norm"), "grad_norm_before_clip");
  check("lora_l2_after", found.weight_norms, "lora_l2_after");
  expect_within(what + "lr", difference(column(found.rows, "lr"), expected.at("lr")), kRate);
}

// Every tensor of an adapter file against the adapter of the same name.
inline void compare_weights(const std::string& file, const GoldenRun& run) {
  const double allowed = golden_json("tolerances.json").at(file).front().at("recommended_atol");
  double squares = 0, norm = 0, stray = 0, entries = 0;
  for (const AdapterModule& module : read_adapter(sd_golden(file)).modules) {
    const Adapter* adapter = run.adapter(module.path);
    ASSERT_NE(adapter, nullptr) << module.path;
    for (const auto& [ours, theirs] : {std::pair{adapter->a, module.a}, {adapter->b, module.b}}) {
      const at::Tensor expected = theirs.to(at::kDouble).flatten();
      const at::Tensor off = ours.detach().to(at::kDouble).flatten() - expected;
      squares += off.square().sum().item<double>();
      norm += expected.square().sum().item<double>();
      stray += (off.abs() > allowed).sum().item<double>();
      entries += static_cast<double>(off.numel());
    }
  }
  expect_within(file + " weights (relative L2)", std::sqrt(squares / norm), kWeights);
  expect_within(join(file, " share of weights off by more than ", allowed), stray / entries,
                kStrayShare);
}

}  // namespace lora::test
