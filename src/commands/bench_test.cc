// SPDX-License-Identifier: Apache-2.0
#include "commands/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace lora {
namespace {

std::string message_of(const Arguments& arguments) {
  try {
    run_bench(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST(Bench, TrainsASmallModelAndPrintsJson) {
  for (const char* dtype : {"f32", "bf16"}) {
    testing::internal::CaptureStdout();
    run_bench({"text", "--preset", "llama-15m", "--batch", "1", "--length", "9", "--steps", "2",
               "--dtype", dtype, "--device", "cpu", "--threads", "1", "--checkpointing", "--json"});
    const auto result = nlohmann::json::parse(testing::internal::GetCapturedStdout());
    for (const char* key : {"step_s", "best_s", "cpu_s", "tokens_per_s", "gflops", "peak_gb"}) {
      EXPECT_GT(result.at(key).get<double>(), 0) << key;
    }
    EXPECT_EQ(result.at("device"), "cpu");
    EXPECT_NEAR(result.at("loss").get<double>(), std::log(32000.0), 1.0);
    EXPECT_EQ(result.at("parameters").get<std::int64_t>(), 24407712);
  }
}

TEST(Bench, NamesWhatIsUnknown) {
  EXPECT_THAT(message_of({}), testing::HasSubstr("what to measure is missing"));
  EXPECT_THAT(message_of({"sound"}), testing::HasSubstr("'sound': unknown"));
  EXPECT_THAT(message_of({"text", "--preset", "llama-8b"}),
              testing::HasSubstr("--preset 'llama-8b': unknown (known: llama-15m"));
  EXPECT_THAT(message_of({"text", "--preset", "llama-15m", "--targets", "c_attn"}),
              testing::HasSubstr("target_modules: 'c_attn' names no module of this model"));
}

TEST(Bench, MedianAndBest) {
  const auto times = step_times({3, 1, 2});
  EXPECT_EQ(times["step_s"], 2);
  EXPECT_EQ(times["best_s"], 1);
}

}  // namespace lora
