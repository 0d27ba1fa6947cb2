// SPDX-License-Identifier: Apache-2.0
#include "base/folders.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

class FoldersTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(place_);
    fs::create_directories(place_ / "set");
  }
  void TearDown() override { fs::remove_all(place_); }
  void file(const std::string& name) const { write_file_atomic(place_ / name, "x"); }
  // "name" of what can be read, "name: problem" of the rest.
  std::vector<std::string> found(const std::string& folder = "set") const {
    std::vector<std::string> all;
    for (const FoundFile& one : files_below(place_ / folder)) {
      all.push_back(one.problem.empty() ? one.relative : one.relative + ": " + one.problem);
    }
    return all;
  }
  const Path place_ = fs::temp_directory_path() / "lora_folders";
};

TEST_F(FoldersTest, FilesAreFoundInOrderWithoutHiddenOnes) {
  for (const char* name : {"set/b", "set/a/c", "set/a.txt", "set/.hidden", "set/.git/x"}) {
    file(name);
  }
  EXPECT_THAT(found(), ElementsAre("a.txt", "a/c", "b"));
}

TEST_F(FoldersTest, LinksKeepTheirNames) {
  file("photos/a.png");
  fs::create_directory_symlink("../photos", place_ / "set/10_girl");
  fs::create_directory_symlink("../photos", place_ / "set/5_girl");
  fs::create_symlink("../photos/a.png", place_ / "set/one.png");
  EXPECT_THAT(found(), ElementsAre("10_girl/a.png", "5_girl/a.png", "one.png"));
}

TEST_F(FoldersTest, CirclesEndAndAreNamed) {
  file("set/a");
  file("set/inner/b");
  const std::string text = ": is a link to a folder around it";
  fs::create_directory_symlink("..", place_ / "set/up");
  fs::create_directory_symlink("/", place_ / "set/root");
  fs::create_directory_symlink("../inner", place_ / "set/inner/self");
  EXPECT_THAT(found(),
              ElementsAre("a", "inner/b", "inner/self" + text, "root" + text, "up" + text));
  // Two folders outside that lead to each other.
  fs::create_directories(place_ / "p");
  fs::create_directories(place_ / "q");
  fs::create_directory_symlink("../q", place_ / "p/to_q");
  fs::create_directory_symlink("../p", place_ / "q/to_p");
  fs::create_directories(place_ / "two");
  fs::create_directory_symlink("../p", place_ / "two/p");
  EXPECT_THAT(found("two"), ElementsAre("p/to_q/to_p" + text));
}

TEST_F(FoldersTest, LinksThatMultiplyAreRefused) {
  for (int level = 0; level < 6; ++level) {
    const std::string folder = join("l", level);
    fs::create_directories(place_ / folder);
    for (int i = 0; i < 8; ++i) {
      fs::create_directory_symlink(join("../l", level + 1), place_ / folder / join("x", i));
    }
  }
  file("l6/a");
  try {
    files_below(place_ / "l0");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), (place_ / "l0").string() +
                                ": too many links to folders (more than 10000); give a folder "
                                "without them");
  }
}

TEST_F(FoldersTest, WhatCannotBeReadIsNamed) {
  file("set/good");
  file("set/caf\xe9");
  ASSERT_EQ(::mkfifo((place_ / "set/pipe").c_str(), 0600), 0);
  fs::create_symlink("nowhere", place_ / "set/broken");
  fs::create_symlink("loop", place_ / "set/loop");
  EXPECT_THAT(
      found(),
      ElementsAre("broken: cannot be read (No such file or directory); a link that leads nowhere? "
                  "Remove it or mend it",
                  "caf\\xe9: its name is not UTF-8; rename it (an archive of another system? "
                  "unpack it with the right encoding)",
                  "good",
                  "loop: cannot be read (Too many levels of symbolic links); a link that leads "
                  "nowhere? Remove it or mend it",
                  "pipe: is a pipe or device, expected a file"));
}

TEST_F(FoldersTest, AFolderWithoutPermissionIsNamed) {
  file("set/good");
  file("set/closed/a");
  fs::permissions(place_ / "set/closed", fs::perms::none);
  std::error_code error;
  fs::directory_iterator(place_ / "set/closed", error);
  if (error) {  // not for root
    EXPECT_THAT(found(), ElementsAre("closed: this folder cannot be read (Permission denied)",
                                     "good"));
  }
  fs::permissions(place_ / "set/closed", fs::perms::owner_all);
}

}  // namespace
}  // namespace lora
