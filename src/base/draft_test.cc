// SPDX-License-Identifier: Apache-2.0
#include "base/draft.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

class DraftTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(place_);
    fs::create_directories(place_);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(place_)) {
      all.push_back(entry.path().filename().string());
    }
    std::ranges::sort(all);
    return all;
  }
  static std::string message_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  const Path place_ = fs::temp_directory_path() / "lora_draft";
};

TEST_F(DraftTest, ADraftHasANameThatNobodyForesees) {
  const DraftFile first(place_ / "a"), second(place_ / "a");
  const std::vector<std::string> drafts = names();
  ASSERT_EQ(drafts.size(), 2U);
  EXPECT_NE(drafts[0], drafts[1]);
  for (const std::string& name : drafts) EXPECT_TRUE(is_draft_name(name)) << name;
  for (const char* other : {"a.tmp", ".lora-0123456789abcde.tmp", ".lora-0123456789abcdeg.tmp",
                            ".lora-0123456789abcdef.txt", ".lora-0123456789abcdef.tmp2"}) {
    EXPECT_FALSE(is_draft_name(other)) << other;
  }
}

TEST_F(DraftTest, LinksAreReplacedNotFollowed) {
  write_file_atomic(place_ / "victim", "precious");
  for (const char* name : {"a", "a.tmp"}) fs::create_symlink("victim", place_ / name);
  write_file_atomic(place_ / "a", "new");
  replace_file(place_ / "a", "newer");
  EXPECT_EQ(read_file(place_ / "victim"), "precious");
  EXPECT_EQ(read_file(place_ / "a"), "newer");
  EXPECT_FALSE(fs::is_symlink(place_ / "a"));
  EXPECT_THAT(names(), ElementsAre("a", "a.tmp", "victim"));
}

TEST_F(DraftTest, WhatExistsIsNotOverwrittenByANewFileOrFolder) {
  fs::create_symlink("nowhere", place_ / "link");
  fs::create_directory(place_ / "folder");
  write_file_atomic(place_ / "file", "old");
  const auto refusal = [&](const char* name) {
    return (place_ / name).string() +
           ": exists already and is never overwritten; choose another name";
  };
  for (const char* name : {"link", "file", "folder"}) {
    EXPECT_EQ(message_of([&] { write_new_file(place_ / name, "new"); }), refusal(name));
    EXPECT_EQ(message_of([&] { DraftFolder(place_ / name).move_new(); }), refusal(name));
  }
  write_new_file(place_ / "fresh", "new");
  DraftFolder draft(place_ / "version/");
  write_file_atomic(draft.path() / "a", "in it");
  draft.move_new();
  EXPECT_EQ(read_file(place_ / "version/a"), "in it");
  EXPECT_EQ(read_file(place_ / "file"), "old");
  EXPECT_THAT(names(), ElementsAre("file", "folder", "fresh", "link", "version"));
}

TEST_F(DraftTest, NamesOf255BytesAreWritten) {
  const std::string name(255, 'x');
  write_file_atomic(place_ / name, "text");
  EXPECT_THAT(names(), ElementsAre(name));
}

TEST_F(DraftTest, OnlyWhatNobodyWorksOnIsRemoved) {
  // As a killed program leaves them.
  write_file_atomic(place_ / ".lora-0123456789abcdef.tmp", "half");
  write_file_atomic(place_ / ".lora-0123456789abcde0.tmp/version.json", "half");
  write_file_atomic(place_ / "notes.tmp", "mine");
  fs::create_symlink("notes.tmp", place_ / ".lora-0123456789abcde1.tmp");
  std::optional<DraftFile> live;
  live.emplace(place_ / "a");
  std::optional<DraftFolder> live_folder;
  live_folder.emplace(place_ / "b");
  remove_dead_drafts(place_);
  EXPECT_EQ(names().size(), 4U);  // two that live, a link, notes.tmp
  EXPECT_EQ(read_file(place_ / "notes.tmp"), "mine");
  EXPECT_FALSE(fs::exists(place_ / ".lora-0123456789abcdef.tmp"));
  EXPECT_FALSE(fs::exists(place_ / ".lora-0123456789abcde0.tmp"));
  live.reset();
  live_folder.reset();
  EXPECT_THAT(names(), ElementsAre(".lora-0123456789abcde1.tmp", "notes.tmp"));
  remove_dead_drafts(place_ / "nowhere");
}

TEST_F(DraftTest, PipesAndDevicesAreNoFiles) {
  const Path pipe = place_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string text = ": is a pipe or device, expected a file";
  EXPECT_EQ(message_of([&] { read_file(pipe); }), pipe.string() + text);
  EXPECT_EQ(message_of([&] { MappedFile file(pipe); }), pipe.string() + text);
  EXPECT_EQ(message_of([&] { read_file("/dev/zero"); }), "/dev/zero" + text);
  EXPECT_EQ(message_of([&] { read_file(place_); }),
            place_.string() + ": is a folder, expected a file");
  fs::create_symlink("loop", place_ / "loop");
  EXPECT_EQ(message_of([&] { read_file(place_ / "loop"); }),
            (place_ / "loop").string() + ": cannot read: Too many levels of symbolic links");
  EXPECT_GT(read_file("/proc/self/status").size(), 100U);
}

}  // namespace
}  // namespace lora
