// SPDX-License-Identifier: Apache-2.0
// What is written does not lie in what is read.
#include "base/error.h"
#include "config/config_fixture.h"

namespace lora {
namespace {

class OutputApart : public ConfigTest {
 protected:
  static std::string refusal(const std::string& yaml, const std::vector<std::string>& overrides) {
    try {
      parse_config(yaml, "a.yaml", overrides);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::usage);
      return error.what();
    }
    return "no error";
  }
  static std::string lies_in(const std::string& key, const std::string& output,
                             const std::string& place) {
    return "command line: output_dir: lies in " + key + " (found '" + output +
           "', expected a folder outside '" + place + "'); choose another, e.g. ./output/my_v1";
  }
};

TEST_F(OutputApart, OutputsInWhatIsReadAreRefused) {
  const std::string data = "examples/sd/starli_v1", inside = data + "/out/v1";
  EXPECT_EQ(refusal(kImage, {"output_dir=" + inside}), lies_in("train_data_dir", inside, data));
  const std::string dotted = "./examples/llm/../sd/starli_v1/v1";
  EXPECT_EQ(refusal(kImage, {"output_dir=" + dotted}), lies_in("train_data_dir", dotted, data));
  EXPECT_EQ(refusal(kImage, {"output_dir=examples/sd/base/v1"}),
            lies_in("base_model", "examples/sd/base/v1", "examples/sd/base"));
  EXPECT_EQ(refusal(kImage, {"output_dir=examples/sd/raw_mixed/v1",
                             "validation_data=examples/sd/raw_mixed"}),
            lies_in("validation_data", "examples/sd/raw_mixed/v1", "examples/sd/raw_mixed"));
  EXPECT_EQ(refusal(kText, {"train_data_dir=."}).substr(0, 64),
            lies_in("train_data_dir", "./output/test_v1", ".").replace(0, 12, "a.yaml:3:1").substr(
                0, 64));
  EXPECT_EQ(refusal(kImage, {"output_dir=examples/sd/starli_v10/v1"}), "no error");
}

TEST_F(OutputApart, AWholeFileSystemIsNoTrainingData) {
  EXPECT_EQ(refusal(kText, {"train_data_dir=/"}),
            "a.yaml:3:1: output_dir: lies in train_data_dir (found './output/test_v1', expected a "
            "folder outside '/'); choose another, e.g. ./output/my_v1\n"
            "command line: train_data_dir: the root of a whole file system (found '/', expected a "
            "file or folder of training data); name the folder that holds it");
}

}  // namespace
}  // namespace lora
