// SPDX-License-Identifier: Apache-2.0
// The choices that the configuration declares are rows of the tables that carry them out.
#include <gtest/gtest.h>

#include "base/table.h"
#include "base/text.h"
#include "config/fields.h"
#include "train/optimizers.h"
#include "train/schedules.h"

namespace lora {
namespace {

TEST(ConfigTables, EveryChoiceIsARow) {
  for (const std::string& name : split(find_field("optimizer")->choices, ' ')) {
    EXPECT_NE(find_row(optimizer_rows(), name), nullptr) << name;
  }
  for (const std::string& name : split(find_field("lr_scheduler")->choices, ' ')) {
    EXPECT_NE(find_row(schedule_rows(), name), nullptr) << name;
  }
}

}  // namespace
}  // namespace lora
