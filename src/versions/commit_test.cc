// SPDX-License-Identifier: Apache-2.0
// Commits that were cut short, folders from elsewhere, and what the journal knows.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "versions/refs.h"
#include "versions/store_fixture.h"
#include "versions/verify.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CommitTest : public StoreFixture {
 protected:
  void make_writable(const std::string& name) const {
    for (const auto& entry : fs::directory_iterator(root_ / name)) {
      fs::permissions(entry.path(), fs::perms::owner_all);
    }
  }
  void remove_version(const std::string& name) const {
    make_writable(name);
    fs::remove_all(root_ / name);
  }
  std::vector<std::string> commits() const {
    std::vector<std::string> names;
    for (const RefMove& move : read_journal(root_)) {
      if (move.event == "commit") names.push_back(move.to);
    }
    return names;
  }
  bool is_read_only(const std::string& name) const {
    bool all = true;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / name)) {
      if (!entry.is_regular_file() || entry.path().parent_path().filename() == "logs") continue;
      all &= (entry.status().permissions() & fs::perms::owner_write) == fs::perms::none;
    }
    return all;
  }
  // The journal without its last line, `latest` without its move, all files writable: as a kill
  // right after version.json leaves them.
  void cut_commit(const std::string& name, const std::string& latest) const {
    std::string journal = read_file(root_ / ".versions/journal.jsonl");
    journal.erase(journal.rfind('\n', journal.size() - 2) + 1);
    write_file_atomic(root_ / ".versions/journal.jsonl", journal);
    latest.empty() ? void(fs::remove(root_ / ".versions/refs/latest"))
                   : write_file_atomic(root_ / ".versions/refs/latest", latest + "\n");
    make_writable(name);
  }
  // An edited manifest with an id that fits.
  void forge(const std::string& name, const std::function<void(json&)>& change) const {
    json manifest = json::parse(read_file(root_ / name / kManifestName));
    change(manifest);
    manifest.erase("id");
    manifest["id"] = sha256(manifest.dump());
    overwrite(root_ / name / kManifestName, manifest.dump(2));
  }
};

TEST_F(CommitTest, ACommitThatWasCutShortIsCompletedByTheNextCommand) {
  make("v1", 1);
  make("v2", 2);
  const auto commands = {
      std::function<void()>([&] { list_versions(root_); }),
      std::function<void()>([&] { locate_version("v1", root_); }),
      std::function<void()>([&] { locate_version((root_ / "v2").string(), "elsewhere"); }),
      std::function<void()>([&] { require_free(root_ / "v3", false); }),
  };
  for (const auto& command : commands) {
    cut_commit("v2", "v1");
    EXPECT_FALSE(is_read_only("v2"));
    EXPECT_THAT(commits(), ElementsAre("v1"));
    command();
    EXPECT_THAT(commits(), ElementsAre("v1", "v2"));
    EXPECT_EQ(read_ref(root_, "latest"), "v2");
    EXPECT_TRUE(is_read_only("v2"));
    EXPECT_THAT(verify_version(root_ / "v2").problems, IsEmpty());
  }
}

TEST_F(CommitTest, ARefBehindTheJournalIsMoved) {
  make("v1", 1);
  make("v2", 2);
  write_file_atomic(root_ / ".versions/refs/latest", "v1\n");
  list_versions(root_);
  EXPECT_EQ(read_ref(root_, "latest"), "v2");
  EXPECT_THAT(commits(), ElementsAre("v1", "v2"));  // no second line
  fs::remove(root_ / ".versions/refs/latest");
  list_versions(root_);
  EXPECT_EQ(read_ref(root_, "latest"), "v2");
}

TEST_F(CommitTest, NothingIsCompletedWhileAnotherProcessCommits) {
  make("v1", 1);
  cut_commit("v1", "");
  const int file = ::open((root_ / ".versions/lock").c_str(), O_RDWR);
  ASSERT_EQ(::flock(file, LOCK_EX), 0);
  list_versions(root_);
  EXPECT_THAT(commits(), IsEmpty());
  ::close(file);
  list_versions(root_);
  EXPECT_THAT(commits(), ElementsAre("v1"));
}

TEST_F(CommitTest, AVersionThatWasCopiedUnderAnotherNameIsNoCommitOfThisRoot) {
  make("v1", 1);
  fs::copy(root_ / "v1", root_ / "copy", fs::copy_options::recursive);
  list_versions(root_);
  EXPECT_THAT(commits(), ElementsAre("v1"));
  EXPECT_EQ(read_ref(root_, "latest"), "v1");
}

TEST_F(CommitTest, AVersionMadeInOneGoLeavesNoNameTaken) {
  Version version;
  version.name = "v1";
  version.weights.file = kWeightsName;
  {
    DraftFolder killed(root_ / "v1");  // before its commit
    write_weights(killed.path() / kWeightsName, 1, "x");
  }
  EXPECT_FALSE(fs::exists(root_ / "v1"));
  DraftFolder draft(root_ / "v1");
  write_weights(draft.path() / kWeightsName, 1, "x");
  const Version written = publish(draft, root_ / "v1", version);
  EXPECT_EQ(written.id, read_version(root_ / "v1").id);
  EXPECT_THAT(commits(), ElementsAre("v1"));
  EXPECT_TRUE(is_read_only("v1"));
  DraftFolder second(root_ / "v1");
  write_weights(second.path() / kWeightsName, 2, "x");
  EXPECT_EQ(message_of([&] { publish(second, root_ / "v1", version); }),
            (root_ / "v1").string() +
                ": exists already and is never overwritten; choose another name");
  EXPECT_EQ(read_version(root_ / "v1").id, written.id);
}

TEST_F(CommitTest, TheJournalKnowsWhatIsMissing) {
  make("v1", 1);
  make("v2", 2);
  const Path folder = root_ / "v1";
  make_writable("v1");
  fs::remove(folder / kManifestName);
  const std::string time = read_journal(root_)[0].time;
  const std::string when = "(the journal says that it was committed at " + time + ")";
  const std::string lost = "its version.json is missing " + when + "; restore it from a copy";
  const VerifyReport report = verify_version(folder);
  EXPECT_TRUE(report.committed);
  EXPECT_THAT(report.problems, ElementsAre(lost));
  EXPECT_EQ(list_versions(root_).back().problem, lost);
  for (const bool resume : {true, false}) {
    EXPECT_EQ(message_of([&] { require_free(folder, resume); }, Exit::integrity),
              folder.string() + ": " + lost);
  }
  EXPECT_EQ(message_of([&] { locate_version("v1", root_); }, Exit::integrity),
            folder.string() + ": " + lost);
  // A folder that is gone is a note; a problem where a ref leads there.
  remove_version("v1");
  EXPECT_THAT(verify_gone(root_)[0].notes,
              ElementsAre("its folder is gone " + when));
  EXPECT_THAT(verify_gone(root_)[0].problems, IsEmpty());
  remove_version("v2");
  EXPECT_THAT(verify_gone(root_)[1].problems,
              ElementsAre("the ref 'latest' names it, and its folder is gone"));
}

TEST_F(CommitTest, ANameIsANameNotAPath) {
  make("v1", 1);
  const auto refused = [&](const std::string& field, const std::string& found) {
    return (root_ / "v1/version.json").string() + ": " + field + " is no name (found '" + found +
           "', expected one without '/'); this manifest was not written by lora";
  };
  for (const char* name : {"../../escaped", "/etc/passwd", "..", "a/b", "."}) {
    forge("v1", [&](json& manifest) { manifest["name"] = name; });
    EXPECT_EQ(message_of([&] { read_version(root_ / "v1"); }, Exit::integrity),
              refused("name", name));
  }
  forge("v1", [&](json& manifest) {
    manifest["name"] = "v1";
    manifest["weights"]["file"] = "../v2/x";
  });
  EXPECT_EQ(message_of([&] { read_version(root_ / "v1"); }, Exit::integrity),
            refused("weights.file", "../v2/x"));
  forge("v1", [&](json& manifest) {
    manifest["weights"]["file"] = kWeightsName;
    const json parent = {{"name", "../v0"}, {"id", "abc"}, {"file_sha256", ""}};
    manifest["parents"] = json::array({parent});
  });
  EXPECT_EQ(message_of([&] { read_version(root_ / "v1"); }, Exit::integrity),
            refused("a parent", "../v0"));
}

TEST_F(CommitTest, ChecksumsOfFilesElsewhereAreNotLookedAt) {
  make("v1", 1);
  const std::string line = std::string(64, '0') + "  ../../etc/passwd\n";
  overwrite(root_ / "v1" / kSumsName, read_file(root_ / "v1" / kSumsName) + line);
  EXPECT_THAT(verify_version(root_ / "v1").problems,
              ElementsAre(HasSubstr("SHA256SUMS: does not match the manifest"),
                          "SHA256SUMS: '../../etc/passwd' leads out of the folder"));
}

TEST_F(CommitTest, LinksInAFolderAreNotCoveredNorChanged) {
  reserve_folder(root_ / "v1", false);
  write_file_atomic(root_ / "mine", "text");
  fs::create_symlink("../mine", root_ / "v1/link");
  write_weights(root_ / "v1" / kWeightsName, 1, "x");
  Version version;
  version.name = "v1";
  version.weights.file = kWeightsName;
  publish(root_ / "v1", version);
  EXPECT_NE(fs::status(root_ / "mine").permissions() & fs::perms::owner_write, fs::perms::none);
  EXPECT_THAT(covered_files(root_ / "v1"), ElementsAre(std::string(kWeightsName)));
}

TEST_F(CommitTest, WeightsThatAreNotTheRecordedOnesAreRefused) {
  const Version version = make("v1", 1);
  const Path folder = root_ / "v1";
  require_recorded(folder, version);
  const std::string whole = read_file(folder / kWeightsName), sums = read_file(folder / kSumsName);
  std::string flipped = whole;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  overwrite(folder / kWeightsName, flipped);
  EXPECT_THAT(message_of([&] { require_recorded(folder, version); }, Exit::integrity),
              HasSubstr(folder.string() + ": not as recorded (pytorch_lora_weights.safetensors: "));
  overwrite(folder / kWeightsName, whole);
  overwrite(folder / kSumsName, "");
  EXPECT_THAT(message_of([&] { require_recorded(folder, version); }, Exit::integrity),
              HasSubstr("SHA256SUMS: does not match the manifest"));
  overwrite(folder / kSumsName, sums);
  // A file that was put there later is no part of the version.
  write_weights(folder / "other.safetensors", 2, "x");
  EXPECT_FALSE(locate_version((folder / "other.safetensors").string(), root_).version);
  EXPECT_TRUE(locate_version((folder / kWeightsName).string(), root_).version);
}

TEST_F(CommitTest, AVersionHasNoVersionInsideAndNoFolderOfOthers) {
  make("v1", 1);
  for (const char* name : {"v1/v2", "v1/a/b"}) {
    EXPECT_EQ(message_of([&] { require_free(root_ / name, false); }),
              (root_ / name).string() + ": lies in the folder of another version (" +
                  (root_ / "v1").string() + "), which holds its own files only; choose another "
                                            "place");
  }
  write_file_atomic(root_ / "other/adapter_config.json", "{}");
  EXPECT_EQ(message_of([&] { require_free(root_ / "other", false); }),
            (root_ / "other").string() +
                ": this folder exists and holds files of something else; choose another name, or "
                "move it away");
}

TEST_F(CommitTest, ALockThatIsHeldIsNamed) {
  make("v1", 1);
  const std::string lock = (root_ / ".versions/lock").string();
  const int file = ::open(lock.c_str(), O_RDWR);
  ASSERT_EQ(::flock(file, LOCK_EX), 0);
  testing::internal::CaptureStderr();
  const std::string message =
      message_of([&] { const StoreLock held(root_, std::chrono::seconds(2)); }, Exit::failed);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            lock + ": another process holds this lock; waiting for it\n");
  EXPECT_EQ(message, lock + ": another process has held this lock for 2 seconds; end it and try "
                            "again (`fuser " + lock + "` names it)");
  ::close(file);
}

TEST_F(CommitTest, TheStoreIsNotReachedThroughALink) {
  fs::create_directories(root_);
  write_file_atomic(root_ / "../victim/notes", "mine");
  fs::create_directory_symlink("../victim", root_ / ".versions");
  EXPECT_THAT(message_of([&] { const StoreLock lock(root_); }),
              HasSubstr("'.versions/lock' leads out of the folder by a link"));
  EXPECT_FALSE(fs::exists(root_ / "../victim/lock"));
  fs::remove(root_ / ".versions");
  fs::create_directories(root_ / ".versions");
  fs::create_symlink("../../victim/new", root_ / ".versions/lock");
  EXPECT_THAT(message_of([&] { const StoreLock lock(root_); }, Exit::failed),
              HasSubstr("lock: cannot be opened (Too many levels of symbolic links)"));
  EXPECT_FALSE(fs::exists(root_ / "../victim/new"));
}

}  // namespace
}  // namespace lora
