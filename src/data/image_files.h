// SPDX-License-Identifier: Apache-2.0
// The pictures of a folder, as people keep them.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"

namespace lora {

struct ImageFile {
  Path path;
  std::string relative;      // to the folder that was searched, with '/'
  int repeats = 1;           // kohya's "10_name" folders: 10
  std::string concept_name;  // "name" of such a folder, "" elsewhere
  std::string problem;       // why it cannot be read; "" = it can
  // Files that may hold its caption, the first before the others: NAME.txt, NAME.png.txt,
  // NAME.caption, NAME.json; endings in any case.
  std::vector<Path> beside;
};

struct ImageFolder {
  std::vector<ImageFile> pictures;     // in the order of their relative names
  std::vector<Path> tables;            // metadata.csv, else metadata.jsonl, of each folder
  std::vector<std::string> left_out;   // what is neither, in words with counts
};

// Every file below `folder` whose ending is that of a picture, and with them the folders and links
// that cannot be read (base/folders.h). Left out and told: masks beside or
// below their pictures; of a project folder (img, log, model, reg) what lies beside img; files that
// nothing reads. Passed over: hidden files and folders, and those that systems make.
// Throws Error where there is no picture: what was looked for and found.
ImageFolder list_images(const Path& folder);

}  // namespace lora
