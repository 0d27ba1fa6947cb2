// SPDX-License-Identifier: Apache-2.0
#include "versions/lineage.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "versions/report.h"
#include "versions/store_fixture.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

using LineageTest = StoreFixture;

// "generation name (reason)" of each.
std::vector<std::string> lineage_of(const Path& root, const std::string& name) {
  std::vector<std::string> lines;
  for (const Ancestor& one : ancestry(read_version(root / name), root)) {
    lines.push_back(join(one.generation, " ", one.name, one.found.version ? "" : " -", " ",
                         one.found.absent, one.found.problem));
  }
  return lines;
}

TEST_F(LineageTest, AllParentsAreFollowedAndEachIsNamedOnce) {
  const Version v1 = make("v1", 1);
  const Version v2 = make("v2", 2, {{"v1", v1.id, ""}});
  const Version v3 = make("v3", 3, {{"v1", v1.id, ""}, {"/files/a.safetensors", "", "12"}});
  make("v4", 4, {{"v2", v2.id, ""}, {"v3", v3.id, ""}});
  EXPECT_THAT(lineage_of(root_, "v4"),
              ElementsAre("0 v4 ", "1 v2 ", "1 v3 ", "2 v1 ",
                          "2 /files/a.safetensors - a file, not a version"));
}

TEST_F(LineageTest, WhatCannotBeFollowedIsReported) {
  const Version v1 = make("v1", 1), v2 = make("v2", 2, {{"v1", v1.id, ""}});
  make("v3", 3, {{"v2", v2.id, ""}, {"v1", std::string(64, '0'), ""}});
  EXPECT_THAT(lineage_of(root_, "v3"),
              ElementsAre("0 v3 ", "1 v2 ",
                          "1 v1 - another version has this name (found id " + v1.id.substr(0, 12) +
                              ", expected 000000000000)",
                          "2 v1 "));
  fs::rename(root_ / "v1", root_ / "moved");
  EXPECT_THAT(lineage_of(root_, "v3"),
              ElementsAre("0 v3 ", "1 v2 ", "1 v1 - its folder is not here",
                          "2 v1 - its folder is not here"));
}

TEST_F(LineageTest, ALoopMadeByHandEnds) {
  const Version v1 = make("v1", 1), v2 = make("v2", 2, {{"v1", v1.id, ""}});
  json manifest = json::parse(read_file(root_ / "v1/version.json"));
  manifest["parents"] = json::parse(read_file(root_ / "v2/version.json")).at("parents");
  manifest["parents"][0] = {{"name", "v2"}, {"id", v2.id}, {"file_sha256", ""}};
  overwrite(root_ / "v1/version.json", manifest.dump());
  const auto lines = lineage_of(root_, "v2");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[1], HasSubstr("1 v1 - " + (root_ / "v1/version.json").string() +
                                  ": the manifest was changed after the commit (found id "));
}

TEST_F(LineageTest, ReportsHaveOneShape) {
  const Version v1 = make("v1", 1);
  make("v2", 2, {{"v1", v1.id, ""}});
  reserve_folder(root_ / "v3", false);
  RunningRun(root_ / "v3", 40).interrupted(7);
  const json list = list_report(root_, list_versions(root_));
  EXPECT_EQ(list.at("output"), root_.string());
  const json& rows = list.at("versions");
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[1].at("name"), "v2");
  EXPECT_EQ(rows[1].at("state"), "committed");
  EXPECT_EQ(rows[1].at("parents"), json({"v1"}));
  EXPECT_FALSE(rows[1].contains("pid"));
  EXPECT_EQ(rows[2].at("state"), "interrupted");
  EXPECT_EQ(rows[2].at("committed"), false);
  EXPECT_EQ(rows[2].at("step"), 7);
  EXPECT_EQ(rows[2].at("of"), 40);
  EXPECT_EQ(rows[2].at("pid"), ::getpid());
  EXPECT_EQ(version_report(root_ / "v2").at("id"), rows[1].at("id"));
  const json verified = verification_report({verify_version(root_ / "v1")});
  EXPECT_EQ(verified.at("ok"), true);
  EXPECT_EQ(verified.at("versions")[0].at("files"), 2);
}

}  // namespace
}  // namespace lora
