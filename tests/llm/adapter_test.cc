// SPDX-License-Identifier: Apache-2.0
// Models with an adapter against PEFT: logits, loss, gradients, merged weights, packing.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "io/aten.h"
#include "tests/llm/golden_llm.h"

namespace lora::test {
namespace {

struct Leaf {
  std::string name;  // PEFT's
  at::Tensor tensor;
};

std::vector<Leaf> leaves_of(CausalLM& model) {
  std::vector<Leaf> leaves;
  model.for_each_layer([&](const std::string& name, Layer& layer) {
    if (layer.adapters.empty()) return;
    const auto add = [&](at::Tensor& tensor, const char* end) {
      if (!tensor.defined()) return;
      tensor.requires_grad_(true);
      leaves.push_back({"base_model.model." + name + end, tensor});
    };
    add(layer.adapters[0].a, ".lora_A.weight");
    add(layer.adapters[0].b, ".lora_B.weight");
    add(layer.adapters[0].magnitude, ".lora_magnitude_vector");
  });
  return leaves;
}

// Gradients of the mean loss against `grad.*` of a file; worst relative error of a tensor.
double gradient_error(CausalLM& model, const TextTensors& batch, const TensorMap& expected) {
  const auto leaves = leaves_of(model);
  std::vector<at::Tensor> tensors;
  for (const Leaf& leaf : leaves) tensors.push_back(leaf.tensor);
  const Loss loss = model.loss(batch);
  const auto gradients = torch::autograd::grad({loss.sum / loss.count}, tensors);
  double worst = 0;
  std::size_t count = 0;
  for (const auto& [name, tensor] : expected) count += name.starts_with("grad.");
  EXPECT_EQ(count, leaves.size());
  for (std::size_t at = 0; at < leaves.size(); ++at) {
    worst = std::max(worst, relative(gradients[at], expected.at("grad." + leaves[at].name)));
  }
  return worst;
}

}  // namespace

class GoldenAdapter : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    model_ = load_float(llm(GetParam() + "/model"));
    attach_peft(*model_, llm(GetParam() + "/lora"));
    expected_ = read_tensors(llm(GetParam() + "/lora_expected.safetensors"));
    facts_ = read_json(llm(GetParam() + "/lora_expected.json"));
    inputs_ = read_tensors(llm(GetParam() + "/forward.safetensors"));
  }
  std::unique_ptr<CausalLM> model_;
  TensorMap expected_, inputs_;
  nlohmann::json facts_;
};

TEST_P(GoldenAdapter, LogitsAndLoss) {
  const TextTensors batch = batch_of(inputs_);
  expect_parity("adapter-logits", GetParam(),
                relative(model_->logits(batch), expected_["logits"], inputs_["attention_mask"]),
                1e-5);
  const Loss loss = model_->loss(batch);
  EXPECT_EQ(loss.count, facts_["count"].get<double>());
  const double sum = facts_["loss_sum"];
  expect_parity("adapter-loss", GetParam(), std::abs(loss.sum.item<double>() - sum) / sum, 1e-5);
}

TEST_P(GoldenAdapter, ScaleOfEveryLayer) {
  std::size_t count = 0;
  std::int64_t trainable = 0;
  for (const Leaf& leaf : leaves_of(*model_)) trainable += leaf.tensor.numel();
  model_->for_each_layer([&](const std::string& name, Layer& layer) {
    if (layer.adapters.empty()) return;
    ++count;
    ASSERT_TRUE(facts_["scaling"].contains(name)) << name;
    EXPECT_NEAR(layer.adapters[0].scale, facts_["scaling"][name].get<double>(), 1e-12) << name;
  });
  EXPECT_EQ(count, facts_["scaling"].size());
  EXPECT_EQ(trainable, facts_["trainable_parameters"].get<std::int64_t>());
}

TEST_P(GoldenAdapter, Gradients) {
  expect_parity("gradients", GetParam(), gradient_error(*model_, batch_of(inputs_), expected_),
                1e-4);
}

TEST_P(GoldenAdapter, GradientsWithCheckpointing) {
  const TextTensors batch = batch_of(inputs_);
  const auto leaves = leaves_of(*model_);
  std::vector<at::Tensor> tensors;
  for (const Leaf& leaf : leaves) {
    tensors.push_back(leaf.tensor);
  }
  // Dropout draws random numbers, which the second run must repeat.
  model_->for_each_layer([](const std::string&, Layer& layer) {
    for (Adapter& adapter : layer.adapters) adapter.dropout = 0.3;
  });
  const TrainingMode training(true);
  const auto gradients = [&](bool checkpointing) {
    model_->set_checkpointing(checkpointing);
    at::manual_seed(5);
    auto found = torch::autograd::grad({model_->loss(batch).sum}, tensors);
    found.push_back(at::rand({3}));  // the generator stands where it stood
    return found;
  };
  const auto plain = gradients(false), again = gradients(true);
  for (std::size_t at = 0; at < plain.size(); ++at) {
    EXPECT_TRUE(at::equal(plain[at], again[at])) << at;
  }
}

TEST_P(GoldenAdapter, MergedWeight) {
  const std::string module = facts_["merged_module"];
  bool found = false;
  model_->for_each_layer([&](const std::string& name, Layer& layer) {
    if (name != module) return;
    found = true;
    const Adapter& adapter = layer.adapters.at(0);
    const bool dora = adapter.magnitude.defined();
    at::Tensor delta = at::matmul(adapter.b, adapter.a) * adapter.scale;
    at::Tensor merged = layer.weight.dense() + delta;
    if (dora) merged = merged * (adapter.magnitude / merged.norm(2, 1)).unsqueeze(1);
    if (layer.fan_in_fan_out) {
      merged = merged.t();
      delta = delta.t();
    }
    expect_parity("merged", GetParam(), relative(merged, expected_["merged." + module + ".weight"]),
                  1e-6);
    if (!dora) {
      expect_parity("delta", GetParam(), relative(delta, expected_["delta." + module + ".weight"]),
                    1e-6);
    }
  });
  EXPECT_TRUE(found) << module;
}

TEST_P(GoldenAdapter, PackedDocuments) {
  const auto path = llm("packing/" + GetParam() + ".safetensors");
  ASSERT_TRUE(std::filesystem::exists(path));
  const TensorMap packed = read_tensors(path);
  const TextTensors batch = batch_of(packed);
  const at::Tensor logits = model_->logits(batch);
  expect_parity("packing-logits", GetParam(), relative(logits, packed.at("logits_packed")), 1e-5);
  const std::int64_t length = batch.labels.size(1);
  const at::Tensor losses = at::cross_entropy_loss(
      logits.narrow(1, 0, length - 1).flatten(0, 1),
      batch.labels.narrow(1, 1, length - 1).reshape({-1}), {}, at::Reduction::None, kIgnore);
  const double error = std::max(absolute(losses, packed.at("token_loss_packed").view({-1})),
                                absolute(losses, packed.at("token_loss_separate").view({-1})));
  expect_parity("packing-token-loss", GetParam(), error, 2e-5);
  expect_parity("packing-gradients", GetParam(), gradient_error(*model_, batch, packed), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(GoldenFamily, GoldenAdapter, testing::ValuesIn(families()), family_name);

}  // namespace lora::test
