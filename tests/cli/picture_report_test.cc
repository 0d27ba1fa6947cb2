// SPDX-License-Identifier: Apache-2.0
// What `lora train` says of pictures, captions, class pictures and prompts before it begins.
#include "tests/cli/bad_input.h"

namespace lora::test {
namespace {

struct Said {
  int code = 0;
  std::string text;
};

// stderr of a command on the place; @ for its folder.
Said said(const Place& place, const std::string& verb, Words words) {
  for (std::string& word : words) word = replaced(word, "@", place.folder().string());
  if (verb == "train") words.insert(words.begin(), {"--config", place.at("c.yaml")});
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  Said said;
  try {
    said.code = run_command(verb, words);
  } catch (const Error& error) {
    said = {static_cast<int>(error.code()), error.what()};
  }
  said.text += testing::internal::GetCapturedStderr();
  testing::internal::GetCapturedStdout();
  said.text = replaced(said.text, place.folder().string(), "@");
  return said;
}

void write_picture(const Place& place, const std::string& name, std::uint8_t grey) {
  write_png(place.folder() / name, {64, 64, std::vector<std::uint8_t>(64 * 64 * 3, grey)});
}

void expect_line(const Said& said, const std::string& line) {
  EXPECT_NE(said.text.find(line + "\n"), std::string::npos) << line << "\nin\n" << said.text;
}

std::vector<std::string> files_in(const Path& folder) {
  std::vector<std::string> names;
  if (!fs::exists(folder)) return names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

TEST(CliPictureReport, SaysWhereCaptionsComeFrom) {
  const Place place("captions");
  write_picture(place, "data/10_zq toy/b.png", 120);
  write_picture(place, "data/10_zq toy/b_mask.png", 10);
  write_picture(place, "data/red hat.png", 150);
  write_file_atomic(place.folder() / "data/captions.csv", "x\n");
  const Said check =
      said(place, "train", {"--check", "caption_shuffle=true", "trigger_word=zq", "keep_tokens=1"});
  EXPECT_EQ(check.code, 0) << check.text;
  expect_line(check, "folders: 2 in ., 1 in 10_zq toy (10 times each)");
  expect_line(check, "captions: 1 from caption files, 1 from file names, 1 from folder names");
  expect_line(check,
              "warning: 1 of 3 captions are names of files or folders (first: red hat.png: 'red "
              "hat'); write NAME.txt beside the pictures, or a metadata.csv, where they should say "
              "more");
  expect_line(check,
              "left out: 1 masks (first: 10_zq toy/b_mask.png): every part of a picture is "
              "trained; no loss here uses masks");
  expect_line(check, "not read: 1 .csv (captions.csv)");
  expect_line(check,
              "captions: their parts are shuffled behind the first 1 (keep_tokens); the trigger "
              "'zq' stays in front");
}

TEST(CliPictureReport, ClassPicturesAreAnnouncedAndKeptApart) {
  const Place place("class_pictures");
  for (int i = 0; i < 2; ++i) {
    write_picture(place, join("reg/1_toy/r", i, ".png"), static_cast<std::uint8_t>(30 + i * 60));
  }
  write_file_atomic(place.folder() / "reg/1_toy/broken.png", "no picture");
  const Words settings = {"prior_preservation=true", "class_prompt=toy", "class_data_dir=@/reg",
                          "num_class_images=3", "sample_steps=1"};
  Words checking = settings;
  checking.push_back("--check");
  const Said check = said(place, "train", checking);
  EXPECT_EQ(check.code, 0) << check.text;
  const std::size_t at = check.text.find("class pictures: 2 in @/reg, 1 to be drawn into ");
  ASSERT_NE(at, std::string::npos) << check.text;
  EXPECT_NE(check.text.find("(0 are there), as 'toy'\n", at), std::string::npos) << check.text;
  EXPECT_NE(check.text.find("left out 1_toy/broken.png: not a picture"), std::string::npos);
  EXPECT_FALSE(fs::exists(place.folder() / "output/.cache/class_images"));

  const Said run = said(place, "train", settings);
  EXPECT_EQ(run.code, 0) << run.text;
  expect_line(run, "class pictures: 3");
  EXPECT_EQ(files_in(place.folder() / "reg"), (Words{"broken.png", "r0.png", "r1.png"}));
  EXPECT_EQ(files_in(place.folder() / "output/.cache/class_images"), Words{"class_00000.png"});

  Words again = settings;
  again.push_back("output_dir=@/output/w");
  const Said second = said(place, "train", again);
  EXPECT_EQ(second.code, 0) << second.text;
  EXPECT_NE(second.text.find("0 to be drawn"), std::string::npos) << second.text;
  EXPECT_EQ(second.text.find(" drawn\n"), std::string::npos) << second.text;
}

TEST(CliPictureReport, LongPromptsAreNamed) {
  const Place place("long_prompts");
  std::string prompt;
  for (int i = 0; i < 90; ++i) prompt += "red ";
  const std::string note =
      "warning: prompt 'red red red red red red red red red red ...': longer than the text encoder "
      "reads (found 90 tokens, expected at most 75); the rest is left out: shorten it";
  const Said check = said(place, "train", {"--check", "sample_prompts=" + prompt});
  EXPECT_EQ(check.code, 0) << check.text;
  expect_line(check, note + ", or raise max_token_length");
  const Said wide =
      said(place, "train", {"--check", "sample_prompts=" + prompt, "max_token_length=150"});
  EXPECT_EQ(wide.text.find("longer than"), std::string::npos) << wide.text;
  const Said drawn = said(place, "generate",
                          {"--base", "@/base", "--prompt", prompt, "--output", "@/o.png", "--steps",
                           "1", "--size", "64x64"});
  EXPECT_EQ(drawn.code, 0) << drawn.text;
  expect_line(drawn, note);
}

}  // namespace
}  // namespace lora::test
