// SPDX-License-Identifier: Apache-2.0
#include "versions/store.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "versions/lineage.h"
#include "versions/refs.h"
#include "versions/store_fixture.h"
#include "versions/verify.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using StoreTest = StoreFixture;

TEST_F(StoreTest, TheManifestComesBack) {
  const Version written = make("v1", 1);
  const Version read = read_version(root_ / "v1");
  EXPECT_EQ(read.id, written.id);
  EXPECT_EQ(read.id.size(), 64u);
  EXPECT_EQ(read.metrics.at("loss"), 0.1);
  EXPECT_EQ(read.weights.ranks.at("layers.0.q_proj"), 8);
  ASSERT_EQ(read.preflight.size(), 1u);
  EXPECT_EQ(read.preflight[0].id, "W02");
  EXPECT_EQ(version_json(read), read_file(root_ / "v1" / kManifestName));
}

TEST_F(StoreTest, PublishedFilesAreReadOnlyAndCheckableWithSha256sum) {
  make("v1", 1);
  const auto bits = fs::status(root_ / "v1" / kWeightsName).permissions();
  EXPECT_EQ(bits & fs::perms::owner_write, fs::perms::none);
  const std::string command = "cd " + (root_ / "v1").string() +
                              " && sha256sum -c --quiet --strict " + std::string(kSumsName);
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_THAT(read_file(root_ / ".versions/journal.jsonl"), HasSubstr("\"event\":\"commit\""));
  EXPECT_EQ(read_ref(root_, "latest"), "v1");
}

TEST_F(StoreTest, ANameThatExistsIsRefused) {
  make("v1", 1);
  const std::string where = (root_ / "v1").string();
  EXPECT_EQ(message_of([&] { reserve_folder(root_ / "v1", false); }, Exit::usage),
            where +
                ": this version exists, and versions are never overwritten; choose a new "
                "output_dir");
  EXPECT_EQ(message_of([&] { reserve_folder(root_ / "v1/", true); }, Exit::usage),
            where +
                "/: this version is finished, there is nothing to resume; choose a new "
                "output_dir");
  reserve_folder(root_ / "v2/", false);
  EXPECT_THAT(message_of([&] { reserve_folder(root_ / "v2", false); }, Exit::usage),
              HasSubstr("this folder exists (an unfinished run?); continue it with --resume"));
  reserve_folder(root_ / "v2", true);
  EXPECT_THAT(message_of([&] { reserve_folder(root_ / "v3", true); }, Exit::usage),
              HasSubstr("no run to resume"));
}

TEST_F(StoreTest, VerifyFindsNothingWrongWithAWholeVersion) {
  const Version parent = make("v1", 1);
  make("v2", 2, {{"v1", parent.id, ""}});
  const VerifyReport report = verify_version(root_ / "v2");
  EXPECT_TRUE(report.committed);
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_THAT(report.notes, IsEmpty());
  EXPECT_EQ(report.files, 2);
}

TEST_F(StoreTest, VerifySeesAZeroedFileOfTheSameSize) {
  make("v1", 1);
  const Path file = root_ / "v1" / kWeightsName;
  overwrite(file, std::string(fs::file_size(file), '\0'));
  EXPECT_THAT(verify_version(root_ / "v1").problems,
              ElementsAre(HasSubstr("pytorch_lora_weights.safetensors: does not match its recorded "
                                    "hash (found "),
                          HasSubstr("its numbers differ")));
}

TEST_F(StoreTest, VerifyTellsAnEditOfTheMetadataFromAnotherAdapter) {
  make("v1", 1);
  fs::remove(root_ / "v1" / kWeightsName);
  write_weights(root_ / "v1" / kWeightsName, 1, "y");
  EXPECT_THAT(verify_version(root_ / "v1").problems,
              ElementsAre(HasSubstr("does not match"), HasSubstr("only its metadata differ")));
}

TEST_F(StoreTest, VerifySeesAnEditedManifestAMissingFileAndEditedSums) {
  make("v1", 1);
  const Path manifest = root_ / "v1" / kManifestName;
  const std::string text = read_file(manifest);
  std::string edited = text;
  edited.replace(edited.find("0.1"), 3, "0.2");
  overwrite(manifest, edited);
  EXPECT_THAT(verify_version(root_ / "v1").problems,
              ElementsAre(HasSubstr("the manifest was changed after the commit (found id ")));
  EXPECT_THAT(message_of([&] { read_version(root_ / "v1"); }, Exit::integrity),
              HasSubstr("restore the folder from a copy"));
  overwrite(manifest, text);
  fs::remove(root_ / "v1/config.resolved.yaml");
  EXPECT_THAT(verify_version(root_ / "v1").problems, ElementsAre("config.resolved.yaml: missing"));
  overwrite(root_ / "v1" / kSumsName, "");
  EXPECT_THAT(verify_version(root_ / "v1").problems,
              ElementsAre(HasSubstr("SHA256SUMS: does not match the manifest")));
}

TEST_F(StoreTest, VerifyFollowsTheParent) {
  const Version parent = make("v1", 1);
  make("v2", 2, {{"v1", parent.id, ""}});
  for (const auto& entry : fs::directory_iterator(root_ / "v1")) {
    fs::permissions(entry.path(), fs::perms::owner_all);
  }
  fs::remove_all(root_ / "v1");
  EXPECT_THAT(verify_version(root_ / "v2").notes, ElementsAre("parent v1: its folder is not here"));
  make("v1", 3);
  EXPECT_THAT(verify_version(root_ / "v2").problems,
              ElementsAre(HasSubstr("parent v1: another version has this name")));
}

TEST_F(StoreTest, VersionsAreFoundByNameFolderFileAndRef) {
  const Version first = make("starli_v1", 1);
  const Path folder = root_ / "starli_v1";
  for (const std::string& argument :
       {std::string("starli_v1"), folder.string(), folder.string() + "/",
        (folder / kWeightsName).string(), std::string("latest")}) {
    const LocatedVersion found = locate_version(argument, root_);
    EXPECT_EQ(found.name, "starli_v1") << argument;
    EXPECT_EQ(found.weights, folder / kWeightsName) << argument;
    ASSERT_TRUE(found.version) << argument;
    EXPECT_EQ(found.version->id, first.id);
  }
  write_weights(root_ / "foreign.safetensors", 1, "x");
  const LocatedVersion foreign = locate_version((root_ / "foreign.safetensors").string(), root_);
  EXPECT_EQ(foreign.name, "foreign");
  EXPECT_FALSE(foreign.version);
  EXPECT_EQ(
      message_of([&] { locate_version("starli_v2", root_); }, Exit::usage),
      "version 'starli_v2': not found (expected a file, a folder, or one of the versions in " +
          root_.string() + ": starli_v1); did you mean 'starli_v1'?");
}

TEST_F(StoreTest, UnfinishedRunsAreListedButNotTaken) {
  const Version first = make("b", 1);
  make("a", 2, {{"b", first.id, ""}});
  reserve_folder(root_ / "0", false);
  write_file_atomic(root_ / "0/config.resolved.yaml", "seed: 1\n");
  const auto list = list_versions(root_);
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].name, "b");
  EXPECT_EQ(list[1].name, "a");
  EXPECT_EQ(list[2].name, "0");
  EXPECT_FALSE(list[2].version);
  EXPECT_EQ(list[0].run.state, RunState::committed);
  EXPECT_EQ(list[2].run.state, RunState::dead);
  EXPECT_THAT(message_of([&] { locate_version("0", root_); }, Exit::usage),
              HasSubstr("this run was not finished (no version.json)"));
}

TEST(SplitWeight, Forms) {
  EXPECT_EQ(split_weight("v1:0.8").name, "v1");
  EXPECT_EQ(split_weight("v1:0.8").weight, 0.8);
  EXPECT_EQ(split_weight("a:b/v1").name, "a:b/v1");
  EXPECT_EQ(split_weight("v1").weight, 1);
  for (const std::string weight : {"much", "", "nan", "inf", "0x1", "1e400", "100", " 1"}) {
    EXPECT_EQ(message_of([&] { split_weight("v1:" + weight); }, Exit::usage),
              "version 'v1:" + weight + "': not a weight (found '" + weight +
                  "', expected a number such as 0.8); write NAME or NAME:0.8");
  }
}

}  // namespace
}  // namespace lora
