// SPDX-License-Identifier: Apache-2.0
// The same configuration in another process gives the same bytes.
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/cli/run.h"

namespace lora::test {
namespace {

struct Repeated {
  const char* name;
  bool images;
  const char* precision;
};
void PrintTo(const Repeated& row, std::ostream* out) { *out << row.name; }

constexpr Repeated kRepeated[] = {{"text_float32", false, "no"},
                                  {"text_bfloat16", false, "bf16"},
                                  {"images_float32", true, "no"},
                                  {"images_bfloat16", true, "bf16"}};

class CliRepeat : public testing::TestWithParam<Repeated> {};

TEST_P(CliRepeat, GivesTheSameBytes) {
  const Workplace& place = workplace();
  const std::string sd = std::string(LORA_SOURCE_DIR) + "/examples/sd";
  place.write("images.yaml", "base_model: " + sd + "/base\ntrain_data_dir: " + sd +
                                 "/starli_v1\nresolution: 64\nbatch_size: 2\nflip: true\n"
                                 "caption_dropout: 0.2\nlora_dropout: 0.1\noutput_dir: x/v\n"
                                 "snr_gamma: 5\ntrain_text_encoder: true\n");
  const auto train = [&](const std::string& root) {
    const std::string output = join("output_dir=./", GetParam().name, "_", root, "/v");
    return place.train(GetParam().images ? "images.yaml" : "v1.yaml",
                       {output, "threads=2", "max_steps=4", "warmup_steps=1",
                        join("mixed_precision=", GetParam().precision)});
  };
  std::vector<std::string> files = {"pytorch_lora_weights.safetensors", "data_stats.json",
                                    "data_manifest.tsv"};
  files.emplace_back(GetParam().images ? "v.safetensors" : "adapter_config.json");
  for (const char* root : {"a", "b"}) {
    const Ran run = train(root);
    ASSERT_EQ(run.code, 0) << run.err;
  }
  for (const std::string& file : files) {
    EXPECT_EQ(place.read(join(GetParam().name, "_a/v/", file)),
              place.read(join(GetParam().name, "_b/v/", file)))
        << file;
  }
}
INSTANTIATE_TEST_SUITE_P(Table, CliRepeat, testing::ValuesIn(kRepeated),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lora::test
