// SPDX-License-Identifier: Apache-2.0
#include "io/weight_source.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/aten.h"
#include "io/tensors.h"

namespace lora {
namespace {

Path saved(const TensorMap& tensors, const Metadata& metadata) {
  const Path file = Path(testing::TempDir()) / "weights.safetensors";
  write_tensors(file, tensors, metadata);
  return file;
}

TEST(WeightFiles, SharedTensorsAreThereUnderBothNames) {
  const TensorMap tensors = {{"head", at::ones({2, 3})}, {"norm", at::ones({3})}};
  WeightFiles weights(saved(tensors, {{"format", "pt"}, {"embedding", "head"}}));
  EXPECT_TRUE(weights.has("embedding"));
  EXPECT_FALSE(weights.has("format"));
  EXPECT_TRUE(weights.take("embedding", {2, 3}).equal(tensors.at("head")));
  EXPECT_EQ(weights.unused(), (std::vector<std::string>{"norm"}));
}

TEST(WeightFiles, NamesTheStoredTensorThatHasAnotherShape) {
  const Path file = saved({{"head", at::ones({2, 3})}}, {{"embedding", "head"}});
  WeightFiles weights(file);
  try {
    weights.take("embedding", {3, 3});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), file.string() +
                                ": tensor 'head': shape [2, 3], expected [3, 3]; weights and "
                                "config.json do not belong together");
  }
}

TEST(RandomWeights, AreTheSameForTheSameNameAndSeed) {
  RandomWeights weights(at::kFloat, 1), same(at::kFloat, 1), other(at::kFloat, 2);
  const at::Tensor made = weights.take("a.weight", {8, 16});
  EXPECT_TRUE(made.equal(same.take("a.weight", {8, 16})));
  EXPECT_FALSE(made.equal(weights.take("b.weight", {8, 16})));
  EXPECT_FALSE(made.equal(other.take("a.weight", {8, 16})));
  EXPECT_LE(made.abs().max().item<float>(), 0.25F);  // 1 / sqrt(16)
  EXPECT_TRUE(weights.take("norm.weight", {4}).equal(at::ones({4})));
  EXPECT_TRUE(weights.take("a.bias", {4}).equal(at::zeros({4})));
}

}  // namespace
}  // namespace lora
