// SPDX-License-Identifier: Apache-2.0
#include "train/precision.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "train/threads.h"

namespace lora {
namespace {

const at::Device kCpu(at::kCPU), kCuda(at::kCUDA);

TEST(Precision, AutoFollowsTheHardware) {
  EXPECT_EQ(choose_precision("auto", kCpu, {}).dtype, at::kFloat);
  EXPECT_EQ(choose_precision("auto", kCpu, {.amx_bf16 = true}).dtype, at::kBFloat16);
  EXPECT_EQ(choose_precision("auto", kCpu, {.avx512_bf16 = true}).dtype, at::kBFloat16);
  EXPECT_EQ(choose_precision("auto", kCuda, {}).dtype, at::kBFloat16);
  const Precision old = choose_precision("auto", kCuda, {}, false);
  EXPECT_EQ(old.dtype, at::kHalf);
  EXPECT_TRUE(old.scaled);
}

TEST(Precision, SaysWhyAndWhatIsSlow) {
  EXPECT_NE(choose_precision("bf16", kCpu, {}).why.find("emulates"), std::string::npos);
  EXPECT_NE(choose_precision("auto", kCpu, {.amx_bf16 = true}).why.find("AMX"), std::string::npos);
}

TEST(Precision, RefusesFp16OnTheCpu) {
  EXPECT_THROW(choose_precision("fp16", kCpu, {}), Error);
  EXPECT_THROW(choose_precision("fp8", kCpu, {}), Error);
}

TEST(LossScaler, HalvesOnOverflowAndSkipsTheStep) {
  LossScaler scaler(true, {});
  EXPECT_EQ(scaler.scale(), 65536);
  EXPECT_FALSE(scaler.update(false));
  EXPECT_EQ(scaler.scale(), 32768);
  for (int i = 0; i < 1999; ++i) EXPECT_TRUE(scaler.update(true));
  EXPECT_EQ(scaler.scale(), 32768);
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 65536);
}

TEST(LossScaler, GivesUpOnALossThatIsNeverFinite) {
  LossScaler scaler(true, {});
  EXPECT_THROW(
      {
        for (int i = 0; i < 100; ++i) scaler.update(false);
      },
      Error);
  EXPECT_THROW(LossScaler(true, 128.0).update(false), Error);
}

TEST(LossScaler, IsTransparentWhenOffAndRestores) {
  LossScaler off;
  EXPECT_EQ(off.scale(), 1);
  EXPECT_FALSE(off.update(false));
  LossScaler first(true, {}), second(true, {});
  first.update(false);
  second.restore(first.state());
  EXPECT_EQ(second.scale(), 32768);
}

TEST(Threads, DefaultIsTheAffinityMask) {
  const int before = at::get_num_threads();
  EXPECT_EQ(set_threads(0), available_cores());
  EXPECT_EQ(at::get_num_threads(), available_cores());
  EXPECT_EQ(set_threads(1), 1);
  EXPECT_EQ(at::get_num_threads(), 1);
  set_threads(before);
}

}  // namespace
}  // namespace lora
