// SPDX-License-Identifier: Apache-2.0
#include "nn/new_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "io/aten.h"

namespace lora {
namespace {

TEST(Targets, AreNamesPresetsOrExpressions) {
  EXPECT_TRUE(is_target("q_proj", "model.layers.0.self_attn.q_proj", false));
  EXPECT_FALSE(is_target("proj", "model.layers.0.self_attn.q_proj", false));
  EXPECT_TRUE(is_target("self_attn.q_proj", "model.layers.0.self_attn.q_proj", false));
  EXPECT_TRUE(is_target("attention", "transformer.h.1.attn.c_attn", false));
  EXPECT_TRUE(is_target("attention", "unet.mid_block.attentions.0.attn1.to_q", false));
  EXPECT_FALSE(is_target("attention", "unet.mid_block.attentions.0.proj_in", true));
  EXPECT_TRUE(is_target("mlp", "model.layers.0.mlp.up_proj", false));
  EXPECT_FALSE(is_target("mlp", "model.layers.0.self_attn.q_proj", false));
  EXPECT_TRUE(is_target("all-linear", "anything", false));
  EXPECT_FALSE(is_target("all-linear", "unet.conv_in", true));
  EXPECT_TRUE(
      is_target("model\\.layers\\.[0-1]\\..*q_proj", "model.layers.1.self_attn.q_proj", false));
  EXPECT_FALSE(is_target("layers\\.0.*", "model.layers.0.self_attn.q_proj", false));
  // As PEFT matches them: Python's spellings, the whole path.
  EXPECT_TRUE(is_target(R"(.*(?<!visual\.)(?P<part>q|v)_proj)", "text.q_proj", false));
  EXPECT_FALSE(is_target(R"(.*(?<!visual\.)(?P<part>q|v)_proj)", "visual.q_proj", false));
  EXPECT_THROW(is_target("(q_proj", "x", false), Error);
}

class NewAdapters : public testing::Test {
 protected:
  NewAdapters() {
    q_.weight = at::randn({6, 16});
    conv_.weight = at::randn({8, 4, 3, 3});
    conv_.is_conv = true;
    conv_.padding = 1;
    config_.target_modules = {"q_proj", "conv1"};
    config_.lora_rank = 4;
    config_.lora_alpha = 8;
  }
  std::vector<NamedLayer> layers() { return {{"a.q_proj", &q_}, {"a.conv1", &conv_}}; }

  Layer q_, conv_;
  AdapterConfig config_;
};

TEST_F(NewAdapters, ChangeNothingAtFirst) {
  const at::Tensor x = at::randn({3, 16});
  const at::Tensor before = q_.forward(x);
  for (const bool dora : {false, true}) {
    config_.use_dora = dora;
    q_.adapters.clear();
    conv_.adapters.clear();
    create_adapters(config_, 42, target_layers(config_, {{"a.q_proj", &q_}, {"a.conv1", &conv_}}));
    EXPECT_TRUE(at::allclose(q_.forward(x), before, 1e-5, 1e-6));
    EXPECT_EQ(q_.adapters[0].magnitude.defined(), dora);
  }
}

TEST_F(NewAdapters, APatternMustMeanAModule) {
  config_.rank_pattern = {{"q_proj", 2}};
  config_.alpha_pattern = {{"a\\..*1", 2}};
  check_patterns(config_, layers());
  config_.alpha_pattern = {{"proj", 2}};  // an end at a dot, not of a name
  try {
    check_patterns(config_, layers());
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "alpha_pattern: 'proj' means no module that is trained (these are conv1, q_proj); "
                 "use these names, or remove it");
  }
}

TEST_F(NewAdapters, HaveTheSizesAndRangesOfPeft) {
  create_adapters(config_, 42, layers());
  EXPECT_EQ(q_.adapters[0].a.sizes(), at::IntArrayRef({4, 16}));
  EXPECT_EQ(q_.adapters[0].b.sizes(), at::IntArrayRef({6, 4}));
  EXPECT_EQ(conv_.adapters[0].a.sizes(), at::IntArrayRef({4, 4, 3, 3}));
  EXPECT_EQ(conv_.adapters[0].b.sizes(), at::IntArrayRef({8, 4, 1, 1}));
  EXPECT_EQ(q_.adapters[0].scale, 2);
  EXPECT_LE(q_.adapters[0].a.abs().max().item<float>(), 1 / std::sqrt(16.0F));
  EXPECT_GT(q_.adapters[0].a.abs().max().item<float>(), 0.8F / std::sqrt(16.0F));
  EXPECT_LE(conv_.adapters[0].a.abs().max().item<float>(), 1 / std::sqrt(36.0F));
}

TEST_F(NewAdapters, DependOnTheSeedAlone) {
  create_adapters(config_, 42, layers());
  const at::Tensor first = q_.adapters[0].a;
  at::rand({10});
  q_.adapters.clear();
  conv_.adapters.clear();
  create_adapters(config_, 42, layers());
  EXPECT_TRUE(at::equal(first, q_.adapters[0].a));
  q_.adapters.clear();
  conv_.adapters.clear();
  create_adapters(config_, 7, layers());
  EXPECT_FALSE(at::equal(first, q_.adapters[0].a));
}

TEST_F(NewAdapters, FollowPatternsAndRsLora) {
  config_.rank_pattern = {{"q_proj", 2}};
  config_.alpha_pattern = {{"a.conv1", 3}};
  config_.use_rslora = true;
  EXPECT_EQ(adapter_size(config_, "a.q_proj").rank, 2);
  EXPECT_DOUBLE_EQ(adapter_size(config_, "a.q_proj").scale, 8 / std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(adapter_size(config_, "a.conv1").scale, 1.5);
}

TEST_F(NewAdapters, ATargetThatNamesNothingIsAnError) {
  config_.target_modules = {"q_proj", "query"};
  try {
    target_layers(config_, layers());
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("'query' names no module of this model (it has "
                                                 "conv1, q_proj)"));
  }
}

}  // namespace
}  // namespace lora
