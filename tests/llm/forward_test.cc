// SPDX-License-Identifier: Apache-2.0
// Base models against transformers: logits, hidden states, losses, padding, both config spellings.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "io/aten.h"
#include "models/families.h"
#include "models/models.h"
#include "nn/rope.h"
#include "tests/llm/golden_llm.h"

namespace lora::test {
namespace {

// Loss of every position, 0 where there is no target, [B, T - 1].
at::Tensor token_losses(const at::Tensor& logits, const at::Tensor& labels) {
  const std::int64_t length = labels.size(1);
  const at::Tensor next = labels.narrow(1, 1, length - 1).reshape({-1});
  return at::cross_entropy_loss(logits.narrow(1, 0, length - 1).flatten(0, 1), next, {},
                                at::Reduction::None, kIgnore)
      .view({labels.size(0), length - 1});
}

}  // namespace

class GoldenForward : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { expected_ = read_tensors(llm(GetParam() + "/forward.safetensors")); }
  TensorMap expected_;
};

TEST_P(GoldenForward, LogitsAndHiddenStates) {
  const auto model = load_float(llm(GetParam() + "/model"));
  const TextTensors batch = batch_of(expected_);
  const at::Tensor& mask = expected_["attention_mask"];
  expect_parity("logits", GetParam(), relative(model->logits(batch), expected_["logits"], mask),
                1e-5);
  const auto states = model->hidden_states(batch);
  double worst = 0;
  for (std::size_t at = 0; at < states.size(); ++at) {
    const auto name = "hidden_" + std::to_string(at);
    ASSERT_TRUE(expected_.contains(name)) << name;
    worst = std::max(worst, relative(states[at], expected_[name], mask));
  }
  EXPECT_FALSE(expected_.contains("hidden_" + std::to_string(states.size())));
  expect_parity("hidden", GetParam(), worst, 1e-5);
}

TEST_P(GoldenForward, LossOfTheBatchAndOfEveryToken) {
  const auto model = load_float(llm(GetParam() + "/model"));
  const TextTensors batch = batch_of(expected_);
  const auto facts = read_json(llm(GetParam() + "/forward.json"));
  const Loss loss = model->loss(batch);
  EXPECT_EQ(loss.count, facts["count"].get<double>());
  const double sum = facts["loss_sum"];
  expect_parity("loss", GetParam(), std::abs(loss.sum.item<double>() - sum) / sum, 1e-5);
  const at::Tensor each = token_losses(model->logits(batch), batch.labels);
  expect_parity("token-loss", GetParam(), absolute(each, expected_["token_loss"]), 2e-5);
}

TEST_P(GoldenForward, PaddingOnTheLeft) {
  const auto model = load_float(llm(GetParam() + "/model"));
  const TextTensors batch = batch_of(expected_, "left_");
  const at::Tensor& mask = expected_["left_attention_mask"];
  expect_parity("left-padding", GetParam(),
                relative(model->logits(batch), expected_["left_logits"], mask), 1e-5);
}

TEST_P(GoldenForward, RotaryFrequencies) {
  if (!expected_.contains("inv_freq")) return;  // learned positions
  const HfConfig config = read_hf_config(llm(GetParam() + "/model/config.json"));
  const auto found = rope_frequencies(config.rope, config.head_dim, config.max_positions);
  expect_parity("inv_freq", GetParam(), relative(found.inverse, expected_["inv_freq"]), 1e-6);
}

TEST_P(GoldenForward, BothSpellingsOfTheConfigurationAreEqual) {
  const auto folder = llm(GetParam() + "/model");
  const TextTensors batch = batch_of(expected_);
  const at::Tensor plain = load_float(folder)->logits(batch);
  int spellings = 0;
  for (const char* name : {"config_v4_spelling.json", "config_v5_spelling.json"}) {
    if (!std::filesystem::exists(folder / name)) continue;
    ++spellings;
    const HfConfig config = read_hf_config(folder / name);
    WeightFiles weights(folder);
    Modules modules(weights, {.dtype = at::kFloat});
    const auto model = row_of(lora::families(), "model_type", config.family).load(config, modules);
    EXPECT_TRUE(at::equal(model->logits(batch), plain)) << name;
  }
  EXPECT_GE(spellings, 1);
}

TEST_P(GoldenForward, FilesWithoutPrefix) {
  const auto folder = llm(GetParam() + "/model_noprefix");
  if (!std::filesystem::exists(folder)) return;  // only gpt2 has such files
  const auto model = load_float(folder);
  expect_parity("no-prefix", GetParam(),
                relative(model->logits(batch_of(expected_)), expected_["logits"],
                         expected_["attention_mask"]),
                1e-5);
  model->for_each_layer([](const std::string& name, Layer&) {
    EXPECT_TRUE(name.starts_with("transformer.h.")) << name;
  });
}

// A file may hold a head of its own although config.json ties it; transformers 5 uses both.
TEST(GoldenTiedHead, AStoredHeadCounts) {
  namespace fs = std::filesystem;
  const std::string name = "tied_head_" + std::to_string(::getpid());
  const fs::path folder = fs::path(testing::TempDir()) / name;
  fs::remove_all(folder);
  fs::copy(llm("llama/model"), folder, fs::copy_options::recursive);
  auto config = read_json(folder / "config.json");
  config["tie_word_embeddings"] = true;
  write_file_atomic(folder / "config.json", config.dump());
  auto expected = read_tensors(llm("llama/forward.safetensors"));
  const auto model = load_float(folder);
  expect_parity("logits of a stored head", "llama",
                relative(model->logits(batch_of(expected)), expected["logits"],
                         expected["attention_mask"]),
                1e-5);
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(GoldenFamily, GoldenForward, testing::ValuesIn(families()), family_name);

}  // namespace lora::test
