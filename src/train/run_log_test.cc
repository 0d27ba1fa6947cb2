// SPDX-License-Identifier: Apache-2.0
#include "train/run_log.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "io/image.h"

namespace lora {
namespace {

// Two prompts are samples/0 and samples/1 at every step, whatever stands between their pictures.
TEST(RunLog, SamplesKeepTheirTags) {
  const Path folder = Path(testing::TempDir()) / "lora-run-log";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "logs");
  const std::vector<std::string> lines = {(folder / "a.png").string(), "a.png: one",
                                          (folder / "b.png").string(), "b.png: two"};
  write_png(lines[0], {1, 1, {1, 2, 3}});
  write_png(lines[2], {1, 1, {4, 5, 6}});
  RunLog log(folder / "logs", 2, -1, "images");
  log.samples(0, lines);
  write_file_atomic(lines[0], "cut");  // not shown, and the other keeps its tag
  log.samples(1, lines);
  std::string events;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "logs")) {
    if (entry.path().filename().string().starts_with("events.")) events += read_file(entry.path());
  }
  const auto count = [&](const std::string& tag) {
    int found = 0;
    for (std::size_t at = 0; (at = events.find(tag, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  EXPECT_EQ(count("samples/0"), 1);
  EXPECT_EQ(count("samples/1"), 2);
  EXPECT_EQ(count("samples/2"), 0);
}

}  // namespace
}  // namespace lora
