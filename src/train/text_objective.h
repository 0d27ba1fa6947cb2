// SPDX-License-Identifier: Apache-2.0
// Trains a language model on a text source.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/text_source.h"
#include "models/model.h"
#include "train/objective.h"

namespace lora {

// Model and source must outlive the objective.
struct TextTask {
  CausalLM& model;
  TextSource& source;
  std::vector<TextBatch> validation;  // the same every time; may be empty
  at::Device device = at::Device(at::kCPU);
  std::vector<std::string> prompts;            // for samples
  std::function<std::string(const std::string& prompt)> answer;  // needed where there are prompts
};

// Units are tokens, padding left out. Samples go to step-000120.txt and to the text panel.
class TextObjective final : public Objective {
 public:
  explicit TextObjective(TextTask task) : task_(std::move(task)) {}

  Loss next() override;
  std::int64_t last_units() const override { return last_tokens_; }
  std::string unit() const override { return "tokens"; }
  std::string describe_last() const override;
  void shard(std::int64_t rank, std::int64_t size) override {
    task_.source.order().shard(rank, size);
  }
  double epoch() const override { return task_.source.order().epoch(); }
  std::int64_t micro_batches_of(std::int64_t epoch) const override {
    return task_.source.order().batches_of(epoch);
  }
  nlohmann::json state() const override;
  void restore(const nlohmann::json& state) override;
  std::vector<Validation> validate() override;
  std::vector<std::string> sample(const Path& folder, std::int64_t step) override;

 private:
  TextTask task_;
  std::int64_t last_tokens_ = 0, last_rows_ = 0, last_length_ = 0;
};

// Sum of losses and count of targets over batches, without a graph.
Loss evaluate(CausalLM& model, const std::vector<TextBatch>& batches, at::Device device);

}  // namespace lora
