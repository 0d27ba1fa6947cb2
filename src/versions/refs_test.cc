// SPDX-License-Identifier: Apache-2.0
#include "versions/refs.h"

#include <gmock/gmock.h>

#include "versions/store_fixture.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RefsTest : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    for (const char* name : {"v1", "v2", "v3"}) make(name, 1);
  }
  void move(const std::string& ref, const std::string& to, const std::string& event = "promote") {
    const StoreLock lock(root_);
    move_ref(lock, {.event = event, .ref = ref, .to = to, .reason = "because"});
  }
  std::string refusal(const std::string& ref, const std::string& to = "v1") {
    return message_of([&] { move(ref, to); });
  }
};

TEST_F(RefsTest, MovesAreWrittenDown) {
  move("starli/current", "v1");
  move("starli/current", "v2");
  EXPECT_THAT(ref_names(root_), ElementsAre("latest", "starli/current"));
  EXPECT_EQ(read_ref(root_, "starli/current"), "v2");
  EXPECT_EQ(read_file(root_ / ".versions/refs/starli/current"), "v2\n");
  EXPECT_EQ(read_ref(root_, "no_such"), "");
  EXPECT_EQ(read_ref(root_, "../journal.jsonl"), "");
  const std::vector<RefMove> moves = read_journal(root_, "starli/current");
  ASSERT_EQ(moves.size(), 2U);
  EXPECT_EQ(moves[1].event, "promote");
  EXPECT_EQ(moves[1].from, "v1");
  EXPECT_EQ(moves[1].to, "v2");
  EXPECT_EQ(moves[1].reason, "because");
  EXPECT_EQ(moves[1].time.size(), 20U);
  EXPECT_EQ(read_journal(root_).size(), 5U);  // the three commits moved `latest`
}

TEST_F(RefsTest, ARollbackGoesBackStepByStep) {
  EXPECT_EQ(previous_version(root_, "current"), "");
  move("current", "v1");
  EXPECT_EQ(previous_version(root_, "current"), "");
  move("current", "v2");
  move("current", "v3");
  EXPECT_EQ(previous_version(root_, "current"), "v2");
  move("current", "v2", "rollback");
  EXPECT_EQ(previous_version(root_, "current"), "v1");
  move("current", "v3");
  EXPECT_THAT(ref_values(root_, "current"), ElementsAre("v1", "v2", "v3"));
  move("current", "v1", "rollback");
  EXPECT_THAT(ref_values(root_, "current"), ElementsAre("v1"));
}

TEST_F(RefsTest, ACrashBetweenJournalAndRefMovesNothing) {
  move("current", "v1");
  move("current", "v2");
  move("current", "v3");
  write_file_atomic(root_ / ".versions/refs/current", "v2\n");  // as before the last move
  EXPECT_THAT(ref_values(root_, "current"), ElementsAre("v1", "v2"));
  move("current", "v3");
  EXPECT_THAT(ref_values(root_, "current"), ElementsAre("v1", "v2", "v3"));
  move("current", "v1", "rollback");
  write_file_atomic(root_ / ".versions/refs/current", "v3\n");
  EXPECT_EQ(previous_version(root_, "current"), "v2");
}

TEST_F(RefsTest, ALineThatWasCutOffIsLeftOut) {
  move("current", "v1");
  std::ofstream(root_ / ".versions/journal.jsonl", std::ios::app) << "{\"time\": \"2026-";
  move("current", "v2");
  EXPECT_THAT(ref_values(root_, "current"), ElementsAre("v1", "v2"));
}

TEST_F(RefsTest, NamesThatCannotBeRefs) {
  EXPECT_EQ(refusal("base"),
            "ref 'base': is a reserved word (it stands for the base model without "
            "an adapter); choose another name");
  EXPECT_THAT(refusal("gaussian"), HasSubstr("is a reserved word"));
  EXPECT_EQ(refusal("v2"), "ref 'v2': is the name of a version or folder in " + root_.string() +
                               "; choose another name");
  EXPECT_EQ(refusal("a/b/c"),
            "ref 'a/b/c': has too many parts (found 'a/b/c', expected NAME or "
            "GROUP/NAME); shorten it");
  for (const char* ref : {"", "/a", "a/", "../a", "a/..", ".a", "a b", "a:1"}) {
    EXPECT_THAT(refusal(ref), HasSubstr("is no name for a version (found '")) << ref;
  }
  move("prod", "v1");
  move("team/prod", "v1");
  EXPECT_THAT(refusal("prod/x"),
              HasSubstr("a ref is a group or a name, not both (found refs/prod)"));
  EXPECT_THAT(refusal("team"), HasSubstr("(found refs/team/...)"));
}

TEST_F(RefsTest, ARefNamesACommittedVersion) {
  EXPECT_EQ(refusal("prod", "v9"), "ref 'prod': cannot name 'v9' (no committed version in " +
                                       root_.string() + "); `lora log` lists them");
  EXPECT_THAT(refusal("prod", "../v1"), HasSubstr("cannot name '../v1'"));
  EXPECT_EQ(read_ref(root_, "prod"), "");
  EXPECT_THAT(read_journal(root_, "prod"), IsEmpty());
}

TEST_F(RefsTest, AVersionCannotTakeTheNameOfARef) {
  move("prod", "v2");
  EXPECT_EQ(message_of([&] { reserve_folder(root_ / "prod", false); }),
            (root_ / "prod").string() +
                ": its last part is the name of a ref (found 'prod', which "
                "names v2); choose another name");
  EXPECT_THAT(
      message_of([&] { require_free(root_ / "Base/", false); }),
      HasSubstr("/Base/: its last part is a reserved word (found 'Base', which stands for "));
  EXPECT_FALSE(fs::exists(root_ / "prod"));
  EXPECT_EQ(locate_version("prod", root_).name, "v2");
}

TEST_F(RefsTest, VersionsOfEarlierReleasesWithSuchNamesAreFoundByTheirPath) {
  const std::string base = (root_ / "base").string(), prod = (root_ / "prod").string();
  move("prod", "v2");
  fs::rename(root_ / "v1", base);
  fs::copy(root_ / "v3", prod);
  EXPECT_EQ(locate_version(base, root_).version->name, "v1");
  EXPECT_EQ(message_of([&] { locate_version("base", root_); }),
            "version 'base': stands for the base model without an adapter; write " + base +
                " for the version of this name");
  EXPECT_EQ(message_of([&] { locate_version("prod", root_); }),
            "version 'prod': has two meanings (found the folder " + prod +
                " and the ref of v2); write " + prod + " or v2");
}

TEST_F(RefsTest, ARefToNowhereSaysSo) {
  move("prod", "v2");
  fs::rename(root_ / "v2", root_ / "gone");
  EXPECT_EQ(message_of([&] { locate_version("prod", root_); }),
            "version 'prod': the ref names 'v2', which is no version in " + root_.string() +
                "; `lora log` lists them");
}

}  // namespace
}  // namespace lora
