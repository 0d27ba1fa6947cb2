// SPDX-License-Identifier: Apache-2.0
#include "train/precision.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace lora {
namespace {

const at::Device kCpu(at::kCPU), kCuda(at::kCUDA);

TEST(Precision, AutoFollowsTheHardware) {
  EXPECT_EQ(choose_precision("auto", kCpu, {}, false).dtype, at::kFloat);
  EXPECT_EQ(choose_precision("auto", kCpu, {.amx_bf16 = true}, false).dtype, at::kBFloat16);
  EXPECT_EQ(choose_precision("auto", kCpu, {.avx512_bf16 = true}, false).dtype, at::kBFloat16);
  const Precision now = choose_precision("auto", kCuda, {}, true);
  EXPECT_EQ(now.dtype, at::kBFloat16);
  EXPECT_EQ(now.why, "bf16: this GPU computes it in hardware");
  // What the processor can does not matter to the GPU.
  const Precision old = choose_precision("auto", kCuda, {.amx_bf16 = true}, false);
  EXPECT_EQ(old.dtype, at::kHalf);
  EXPECT_TRUE(old.scaled);
  EXPECT_EQ(old.why, "fp16 with loss scaling: this GPU has no bf16");
}

TEST(Precision, SaysWhyAndWhatIsSlow) {
  EXPECT_EQ(choose_precision("bf16", kCpu, {}, false).why,
            "bf16, as configured; this processor emulates it, `no` is faster here");
  EXPECT_EQ(choose_precision("bf16", kCpu, {.amx_bf16 = true}, false).why, "bf16, as configured");
  EXPECT_EQ(choose_precision("bf16", kCuda, {}, false).why,
            "bf16, as configured; this GPU emulates it, `fp16` is faster here");
  EXPECT_EQ(choose_precision("bf16", kCuda, {}, true).why, "bf16, as configured");
  EXPECT_EQ(choose_precision("auto", kCpu, {.amx_bf16 = true}, false).why,
            "bf16: this processor multiplies it in hardware (AMX)");
}

TEST(Precision, RefusesFp16OnTheCpu) {
  EXPECT_THROW(choose_precision("fp16", kCpu, {}, false), Error);
  EXPECT_THROW(choose_precision("fp8", kCpu, {}, false), Error);
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

}  // namespace
}  // namespace lora
