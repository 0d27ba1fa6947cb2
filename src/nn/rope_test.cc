// SPDX-License-Identifier: Apache-2.0
// Rope scalings against the numbers of transformers 5.12 for heads of 16.
#include "nn/rope.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/aten.h"

namespace lora {
namespace {

struct Case {
  std::string name;
  Rope rope;
  std::int64_t max_positions, length;
  std::vector<float> inverse;
  double amplitude;
};

const std::vector<float> kPlain = {1.0F,           0.316227764F,   0.100000001F,   0.0316227786F,
                                   0.00999999978F, 0.00316227786F, 0.00100000005F, 0.000316227786F};
const std::vector<float> kStretched = {
    1.0F,         0.262445003F,   0.0688773692F,   0.0180765204F,
    0.004744092F, 0.00124506326F, 0.000326760608F, 8.57566774e-05F};
const std::vector<float> kYarn = {
    1.0F,           0.237170815F,    0.049999997F,    0.00790569466F,
    0.00249999994F, 0.000790569466F, 0.000250000012F, 7.90569466e-05F};

const Case kCases[] = {
    {"default", {}, 128, 300, kPlain, 1},
    {"linear",
     {.type = "linear", .factor = 4},
     128,
     0,
     {0.25F, 0.079056941F, 0.0250000004F, 0.00790569466F, 0.00249999994F, 0.000790569466F,
      0.000250000012F, 7.90569466e-05F},
     1},
    {"dynamic_within", {.type = "dynamic", .factor = 2}, 128, 100, kPlain, 1},
    {"dynamic_at_the_end", {.type = "dynamic", .factor = 2}, 128, 128, kPlain, 1},
    {"dynamic_beyond", {.type = "dynamic", .factor = 2}, 128, 300, kStretched, 1},
    {"yarn",
     {.type = "yarn", .factor = 4, .original_positions = 64},
     256,
     0,
     kYarn,
     1.138629436111989},
    {"yarn_with_attention_factor",
     {.type = "yarn", .factor = 4, .original_positions = 64, .attention_factor = 1.25},
     256,
     0,
     kYarn,
     1.25},
    {"yarn_not_truncated",
     {.type = "yarn",
      .factor = 4,
      .original_positions = 64,
      .beta_fast = 4,
      .beta_slow = 2,
      .mscale = 0.8,
      .mscale_all = 0.5,
      .truncate = false},
     256,
     0,
     {1.0F, 0.242121324F, 0.0250000004F, 0.00790569466F, 0.00249999994F, 0.000790569466F,
      0.000250000012F, 7.90569466e-05F},
     1.0388929752217428},
    {"llama3",
     {.type = "llama3", .theta = 500000, .factor = 8, .original_positions = 64},
     512,
     0,
     {1.0F, 0.079403013F, 0.00470075384F, 0.000911583134F, 0.000176776681F, 3.42810235e-05F,
      6.64786967e-06F, 1.28917316e-06F},
     1},
};

TEST(Rope, FrequenciesAndAmplitudeOfEveryScaling) {
  for (const Case& fact : kCases) {
    SCOPED_TRACE(fact.name);
    const auto found = rope_frequencies(fact.rope, 16, fact.max_positions, fact.length);
    EXPECT_NEAR(found.amplitude, fact.amplitude, 1e-12);
    ASSERT_EQ(found.inverse.size(0), 8);
    for (std::size_t at = 0; at < fact.inverse.size(); ++at) {
      const auto value = found.inverse[static_cast<std::int64_t>(at)].item<float>();
      EXPECT_NEAR(value, fact.inverse[at], 1e-6 * fact.inverse[at]) << at;
    }
  }
}

TEST(Rope, TablesRepeatTheAnglesInBothHalves) {
  const auto frequencies = rope_frequencies(
      {.type = "yarn", .factor = 4, .original_positions = 64, .attention_factor = 2}, 4, 256);
  const RopeTables tables = rope_tables(frequencies, at::tensor({0, 3}, at::kLong).unsqueeze(0));
  ASSERT_EQ(tables.cos.sizes(), (std::vector<std::int64_t>{1, 2, 4}));
  const at::Tensor angles = 3 * frequencies.inverse;
  EXPECT_TRUE(at::allclose(tables.cos[0][0], at::full({4}, 2.0)));
  for (const int half : {0, 2}) {
    EXPECT_TRUE(at::allclose(tables.cos[0][1].narrow(0, half, 2), 2 * angles.cos()));
    EXPECT_TRUE(at::allclose(tables.sin[0][1].narrow(0, half, 2), 2 * angles.sin()));
  }
}

TEST(Rope, UnknownTypeNamesTheKnownOnes) {
  try {
    check_rope({.type = "linea"}, "config.json");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "config.json: rope type 'linea': unknown (known: default, linear, dynamic, "
                 "llama3, yarn); did you mean 'linear'?");
  }
}

}  // namespace
}  // namespace lora
