// SPDX-License-Identifier: Apache-2.0
// Runs commands on base models, adapters, settings and data for images with one thing wrong, in
// this process, which is much quicker than starting the program.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/commands.h"
#include "io/aten.h"
#include "io/image.h"
#include "io/tensors.h"
#include "tests/cli/golden_words.h"
#include "tests/golden_set.h"

namespace lora::test {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

inline const std::string kUnet = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k";

// A folder with a base model (links to the tiny one; one file a part), a picture and a
// configuration.
class Place {
 public:
  explicit Place(const std::string& name)
      : folder_(fs::temp_directory_path() / ("lora_bad_models_" + name)) {
    fs::remove_all(folder_);
    write_png(folder_ / "data/a.png", {64, 64, std::vector<std::uint8_t>(64 * 64 * 3, 90)});
    write_file_atomic(folder_ / "data/a.txt", "a lamp");
    const Path from = sd_file("tiny-sd15");
    for (const auto& entry : fs::recursive_directory_iterator(from)) {
      const Path to = folder_ / "base" / fs::relative(entry.path(), from);
      if (entry.is_directory()) fs::create_directories(to);
      if (entry.is_regular_file()) {
        fs::create_directories(to.parent_path());
        fs::create_symlink(entry.path(), to);
      }
    }
    for (const char* part : {"unet", "vae", "text_encoder"}) join_shards(folder_ / "base" / part);
    write("c.yaml", "task_type: text-to-image\nbase_model: " + at("base") +
                        "\ntrain_data_dir: " + at("data") + "\noutput_dir: " + at("output/v") +
                        "\nresolution: 64\nmax_steps: 1\nthreads: 1\nlora_rank: " +
                        std::to_string(kohya_adapter().max_rank()) + "\n");
  }
  ~Place() { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const std::string& content) const {
    fs::remove(folder_ / name);  // not through a link
    write_file_atomic(folder_ / name, content);
  }
  void save(const std::string& name, const TensorMap& tensors, const Metadata& meta = {}) const {
    fs::remove(folder_ / name);
    write_tensors(folder_ / name, tensors, meta);
  }
  void remove(const std::string& name) const { fs::remove_all(folder_ / name); }
  // A key of a JSON file becomes `value`.
  void set(const std::string& name, const std::string& key, const Json& value) const {
    Json json = Json::parse(read_file(folder_ / name));
    json[key] = value;
    write(name, json.dump());
  }
  void cut(const std::string& name, const Path& from, double share) const {
    const std::string bytes = read_file(from);
    write(name, bytes.substr(0, static_cast<std::size_t>(share * double(bytes.size()))));
  }
  const Path& folder() const { return folder_; }

 private:
  Path folder_;
};

struct BadInput {
  const char* name;
  std::function<void(const Place&)> damage;
  Words command;  // settings of `lora train --check`; another command where it begins with "lora"
  // @ stands for the folder, % for the golden files, {word} for what golden_words.h reads in them.
  std::string message;
  int code = 2;
};

inline void PrintTo(const BadInput& row, std::ostream* out) { *out << row.name; }

struct CommandOutcome {
  int code = 0;
  std::string text = "no error";
};

inline CommandOutcome run_on(const Place& place, Words words) {
  for (std::string& word : words) {
    word = replaced(word, "@", place.folder().string());
    word = with_golden_words(replaced(word, "%", sd_file("").string()));
  }
  std::string verb = "train";
  if (!words.empty() && words.front() == "lora") {
    verb = words[1];
    words.erase(words.begin(), words.begin() + 2);
  } else {
    words.insert(words.begin(), {"--config", place.at("c.yaml"), "--check"});
  }
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  CommandOutcome outcome;
  try {
    outcome.code = run_command(verb, words);
  } catch (const Error& error) {
    outcome = {static_cast<int>(error.code()), error.what()};
  }
  testing::internal::GetCapturedStderr();
  testing::internal::GetCapturedStdout();
  outcome.text = replaced(outcome.text, place.folder().string(), "@");
  outcome.text = replaced(outcome.text, sd_file("").string(), "%");
  return outcome;
}

inline TensorMap unet_pair(std::int64_t width, std::int64_t rank_b = 4) {
  return {{kUnet + ".lora_A.weight", at::zeros({4, width})},
          {kUnet + ".lora_B.weight", at::zeros({64, rank_b})}};
}

inline void nothing(const Place&) {}

// Both the message and the exit code are those of the row.
inline void expect_row(const BadInput& row) {
  const Place place(row.name);
  row.damage(place);
  const CommandOutcome outcome = run_on(place, row.command);
  EXPECT_EQ(outcome.text, with_golden_words(row.message));
  EXPECT_EQ(outcome.code, row.code);
}

}  // namespace lora::test
