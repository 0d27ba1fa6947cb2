// SPDX-License-Identifier: Apache-2.0
#include "base/paths.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

TEST(Paths, ANameStandsForSomethingBelowAFolderOrNot) {
  struct Row {
    std::string name, problem;
  };
  const Row rows[] = {
      {"a.png", ""},
      {"10_girl/a.png", ""},
      {"..a/b..", ""},
      {".hidden", ""},
      {std::string(255, 'a'), ""},
      {"", "is empty"},
      {"/etc/passwd", "is an absolute path"},
      {"..", "leads out of the folder"},
      {"../a", "leads out of the folder"},
      {"a/../../b", "leads out of the folder"},
      {"a/..", "leads out of the folder"},
      {".", "has a part that is no name"},
      {"a//b", "has a part that is no name"},
      {"a/", "has a part that is no name"},
      {"./a", "has a part that is no name"},
      {std::string("a\0b", 3), "holds a zero byte"},
      {"x/" + std::string(256, 'a'), "is too long (found 256 bytes, expected at most 255)"},
  };
  for (const Row& row : rows) EXPECT_EQ(name_problem(row.name), row.problem) << row.name;
}

TEST(Paths, LinksAreFollowedBeforeAPathLiesSomewhere) {
  const Path place = fs::temp_directory_path() / "lora_paths";
  fs::create_directories(place / "out/inner");
  fs::create_directories(place / "originals");
  fs::create_directory_symlink("../originals", place / "out/link");
  fs::create_directory_symlink("inner", place / "out/own");
  fs::create_directory_symlink("out", place / "other_name");
  fs::create_symlink("loop", place / "out/loop");
  EXPECT_TRUE(lies_in(place / "out", place / "out"));
  EXPECT_TRUE(lies_in(place / "out/", place / "out"));
  EXPECT_TRUE(lies_in(place / "out/nothing/there", place / "out/"));
  EXPECT_TRUE(lies_in(place / "other_name/inner", place / "out"));
  EXPECT_FALSE(lies_in(place / "out/link", place / "out"));
  EXPECT_FALSE(lies_in(place / "output", place / "out"));
  EXPECT_FALSE(lies_in(place, place / "out"));
  EXPECT_FALSE(lies_in(place / "out/loop/a", place / "out"));

  EXPECT_EQ(below(place / "out", "own/a.png"), place / "out/own/a.png");
  EXPECT_EQ(below(place / "other_name", "a.png"), place / "other_name/a.png");
  EXPECT_EQ(problem_below(place / "out", "link/a.png"), "leads out of the folder by a link");
  EXPECT_EQ(problem_below(place / "out", "link"), "");  // the link itself
  try {
    below(place / "out", "link/a.png");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), (place / "out").string() +
                                ": 'link/a.png' leads out of the folder by a link (expected a name "
                                "below this folder); nothing is written or removed there");
    EXPECT_EQ(error.code(), Exit::usage);
  }
}

TEST(Paths, ThePartsOfAPath) {
  struct Row {
    std::string path, name, around;
  };
  const Row rows[] = {
      {"output/v1", "v1", "output"},
      {"output/v1/", "v1", "output"},
      {"./output/../output/v1//", "v1", "output"},
      {"/data/v1", "v1", "/data"},
      {"v1", "v1", "."},
      {"v1/", "v1", "."},
      {"./v1", "v1", "."},
      {"a/b.safetensors", "b.safetensors", "a"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(name_of(row.path), row.name) << row.path;
    EXPECT_EQ(folder_around(row.path), row.around) << row.path;
  }
  EXPECT_EQ(name_of("."), fs::current_path().filename().string());
}

}  // namespace
}  // namespace lora
