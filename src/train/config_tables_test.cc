// SPDX-License-Identifier: Apache-2.0
// The choices that the configuration declares, and docs/checks.md, are the rows of the tables that
// carry them out: all of them, and no others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "base/files.h"
#include "base/table.h"
#include "config/fields.h"
#include "data/text_dataset.h"
#include "models/samplers.h"
#include "train/optimizers.h"
#include "train/schedules.h"
#include "versions/preflight.h"

namespace lora {
namespace {

using testing::UnorderedElementsAreArray;

std::vector<std::string> choices_of(std::string_view key) {
  return split(find_field(key)->choices, ' ');
}

TEST(ConfigTables, ChoicesAreRows) {
  EXPECT_THAT(choices_of("optimizer"), UnorderedElementsAreArray(names_of(optimizer_rows())));
  EXPECT_THAT(choices_of("lr_scheduler"), UnorderedElementsAreArray(names_of(schedule_rows())));
  EXPECT_THAT(choices_of("sample_sampler"), UnorderedElementsAreArray(names_of(samplers())));
  std::vector<std::string> formats = names_of(text_formats());
  formats.emplace_back("auto");
  EXPECT_THAT(choices_of("dataset_format"), UnorderedElementsAreArray(formats));
}

TEST(ConfigTables, AllowTakesTheWordsOfTheChecks) {
  std::set<std::string> words;
  for (const CheckRow& row : all_checks()) {
    if (!row.allow.empty()) words.emplace(row.allow);
  }
  EXPECT_THAT(choices_of("allow"), UnorderedElementsAreArray(words));
}

// "| W01 | ... | `parent-changed` |"; a row without an id belongs to the one above it.
TEST(ConfigTables, DocumentedChecksAreRows) {
  std::map<std::string, std::string> documented;  // id -> word of `allow`
  const std::regex line(R"(\| ([A-Z]\d\d) \|.*\| (`([a-z-]+)`)? ?\|)");
  for (const std::string& text : split(read_file(LORA_SOURCE_DIR "/docs/checks.md"), '\n')) {
    std::smatch found;
    if (std::regex_match(text, found, line)) {
      EXPECT_TRUE(documented.try_emplace(found[1], found[3]).second) << text;
    }
  }
  // These two need the adapter in the model and stand in no table.
  std::map<std::string, std::string> rows = {{"W08", ""}, {"D05", ""}};
  for (const CheckRow& row : all_checks()) rows.try_emplace(std::string(row.id), row.allow);
  EXPECT_EQ(documented, rows);
}

}  // namespace
}  // namespace lora
