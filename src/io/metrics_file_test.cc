// SPDX-License-Identifier: Apache-2.0
#include "io/metrics_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace lora {
namespace {

class MetricsFiles : public testing::Test {
 protected:
  MetricsFiles()
      : path_(std::filesystem::temp_directory_path() / join("lora_metrics_", getpid(), ".jsonl")) {}
  ~MetricsFiles() override { std::filesystem::remove(path_); }
  Path path_;
};

TEST_F(MetricsFiles, AContinuedRunDropsLaterSteps) {
  {
    MetricsFile file(path_, -1);
    for (int step = 1; step <= 5; ++step) file.write({{"step", step}, {"loss", step * 0.5}});
  }
  MetricsFile(path_, 3).write({{"step", 4}, {"loss", 9.0}});
  const auto rows = read_metrics(path_);
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[2]["step"], 3);
  EXPECT_EQ(rows[3]["loss"], 9.0);
  MetricsFile(path_, -1);
  EXPECT_TRUE(read_metrics(path_).empty());
}

TEST_F(MetricsFiles, ALineCutOffByACrashIsLeftOut) {
  write_file_atomic(path_, "{\"step\":1}\n{\"step\":2,\"lo");
  EXPECT_EQ(read_metrics(path_).size(), 1U);
  write_file_atomic(path_, "{\"step\":1}\nbroken\n{\"step\":2}\n");
  EXPECT_THROW(read_metrics(path_), Error);
  write_file_atomic(path_, "{\"step\":\"one\"}\n{\"step\":9}\n{\"loss\":" + std::string(9999, '['));
  MetricsFile(path_, 3);
  EXPECT_EQ(read_metrics(path_).size(), 1U);
}

}  // namespace
}  // namespace lora
