// SPDX-License-Identifier: Apache-2.0
#include "runs/session.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "versions/store_fixture.h"

namespace lora {
namespace {

class SessionVersions : public StoreFixture {};

TEST_F(SessionVersions, TheBaseTakesNoWeight) {
  const std::string mistake =
      ": the base model without an adapter takes no weight (found 0.5, expected base alone); write "
      "base";
  EXPECT_EQ(message_of([&] { name_versions({"base:0.5"}, root_); }, Exit::usage),
            "--version base:0.5" + mistake);
  make("v1", 1);
  std::filesystem::rename(root_ / "v1", root_ / "base");
  EXPECT_EQ(message_of([&] { name_versions({"base:0.5"}, root_); }, Exit::usage),
            "--version base:0.5" + mistake + ", or " + (root_ / "base").string() +
                ":0.5 for the version of this name");
  const std::vector<NamedVersion> named =
      name_versions({(root_ / "base").string() + ":0.5", "base"}, root_);
  ASSERT_EQ(named.size(), 2U);
  EXPECT_EQ(named[0].weight, 0.5);
  EXPECT_TRUE(named[0].located);
  EXPECT_FALSE(named[1].located);
}

}  // namespace
}  // namespace lora
