// SPDX-License-Identifier: Apache-2.0
// Which files of a folder are read: its splits, what accompanies data, what is not read.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"

namespace lora {

// What the data are for. Of a folder with splits, named by file (test.jsonl, questions_test.csv,
// train-00000-of-00002.jsonl) or by folder (train/, data/test/), as the Hugging Face Hub has them:
//   training    every file but those of validation and test
//   validation  the validation files, else the test files, else all
//   measuring   the test files, else the validation files, else all
enum class Purpose { training, validation, measuring };

struct TextFiles {
  std::vector<Path> files;         // sorted
  std::vector<std::string> notes;  // what lies there and is not read, and why
};

// The file itself, or the data files of a folder and those below it. Throws Error (usage) where
// there is nothing to read, naming what is there instead.
TextFiles find_text_files(const Path& path, Purpose purpose);

// What to do about a file of a kind that is not read ("unpack it: unzip a.zip"); "" for a kind
// that is read, or that is no data.
std::string conversion_of(const Path& file);

}  // namespace lora
