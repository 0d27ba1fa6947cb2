// SPDX-License-Identifier: Apache-2.0
// Configurations whose text is the mistake: not YAML, not UTF-8, without an end.
#include <gtest/gtest.h>

#include "base/error.h"
#include "config/config_fixture.h"

namespace lora {
namespace {

class ConfigText : public ConfigTest {
 protected:
  static std::string message(const std::string& yaml,
                             const std::vector<std::string>& overrides = {}) {
    try {
      parse_config(yaml, "a.yaml", overrides);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::usage);
      return error.what();
    }
    return "no error";
  }
};

TEST_F(ConfigText, OneDocumentAndNothingBehindIt) {
  const std::string rest =
      ": a second document begins here (expected one); remove the '---' lines, and what stands "
      "behind the last bracket";
  EXPECT_EQ(message("seed: 1\n---\nseed: 2\n"), "a.yaml:2:1" + rest);
  // Each of these made documents for ever.
  EXPECT_EQ(message(","), "a.yaml:1:1" + rest);
  EXPECT_EQ(message("{seed: 1},\n"), "a.yaml:1:10" + rest);
  EXPECT_EQ(message("{seed: 1, train_data_dir: d},\n"), "a.yaml:1:29" + rest);
}

TEST_F(ConfigText, NestingBombsAreRefused) {
  const std::string text = message("seed: " + std::string(100'000, '['));
  EXPECT_EQ(text.substr(0, text.find('(')), "a.yaml:1:1: not valid YAML ");
}

TEST_F(ConfigText, OnlyUtf8) {
  EXPECT_EQ(message("seed: 1\nbase_model: m\xe9\n"),
            "a.yaml:2: not UTF-8 (found byte 0xe9); save the file as UTF-8");
  EXPECT_EQ(message(kText, {"train_data_dir=d\xe9.jsonl"}),
            "command line: 'train_data_dir=d\\xe9.jsonl': not UTF-8 (found byte 0xe9), so that no "
            "record of the run could hold it; rename the file");
}

TEST_F(ConfigText, NumbersAreFinite) {
  for (const char* word : {"nan", ".nan", "inf", "-inf", ".inf", "1e400", "1e999999"}) {
    EXPECT_EQ(message(std::string(kText) + "lora_alpha: " + word + "\n"),
              std::string("a.yaml:4:13: lora_alpha: wrong type (found '") + word +
                  "', expected a number); see `lora help config lora_alpha`");
  }
  EXPECT_EQ(message(std::string(kText) + "lora_alpha: 0\n"),
            "a.yaml:4:13: lora_alpha: out of range (found '0', expected greater than 0); see `lora "
            "help config lora_alpha`");
}

}  // namespace
}  // namespace lora
