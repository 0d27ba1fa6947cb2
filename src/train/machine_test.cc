// SPDX-License-Identifier: Apache-2.0
#include "train/machine.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace lora {
namespace {

class MachineTest : public testing::Test {
 protected:
  ~MachineTest() override { at::set_num_threads(before_); }

 private:
  int before_ = at::get_num_threads();
};

TEST_F(MachineTest, ThreadsAreTheAffinityMaskOrAsConfigured) {
  EXPECT_EQ(choose_machine({}).threads, available_cores());
  EXPECT_EQ(at::get_num_threads(), available_cores());
  EXPECT_EQ(choose_machine({.threads = 1}).threads, 1);
  EXPECT_EQ(at::get_num_threads(), 1);
}

TEST_F(MachineTest, SaysWhatComputes) {
  const Machine machine = choose_machine({.device = "cpu", .mixed_precision = "no", .threads = 1});
  EXPECT_EQ(machine.precision.dtype, at::kFloat);
  EXPECT_EQ(machine.text(), "cpu, 1 threads; float32, as configured");
}

TEST_F(MachineTest, NamesAnUnknownDevice) {
  try {
    choose_machine({.device = "tpu"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    EXPECT_STREQ(error.what(), "device: 'tpu' is unknown (expected auto, cpu or cuda)");
  }
}

}  // namespace
}  // namespace lora
