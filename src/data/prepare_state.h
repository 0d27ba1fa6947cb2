// SPDX-License-Identifier: Apache-2.0
// What the preparation of pictures and texts remembers between two runs (.prepare.json). Of
// pictures (`lora prepare images`, `lora label`): what a look at each told, what each output was
// made from, and which captions were written, so that a caption which somebody has edited since is
// known and kept.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "data/image_dataset.h"

namespace lora {

inline constexpr const char* kPrepareState = ".prepare.json";

// Makes the folder of a preparation. Throws Error (usage) where it holds files and is not the
// result of an earlier run: a folder that a user names by mistake keeps its files.
void require_own_folder(const Path& output);

// Returns whether it wrote: a file whose content stays is not touched.
bool write_if_changed(const Path& path, const std::string& content);

struct PreparedOutput {
  std::string source_sha256, settings, output_sha256;
};

struct WrittenCaption {
  std::string text;
  // Set while metadata.csv is being replaced: it may still hold this one.
  std::string before;
  bool edited = false;  // by hand; stays
};

class PrepareState {
 public:
  // Reads the file where there is one; a damaged one counts as one without content. Facts are
  // taken only where they were made with the same `facts_key`.
  PrepareState(Path path, std::string facts_key);

  bool existed() const { return existed_; }
  void write();         // only where something changed
  void write_if_due();  // at most every two seconds
  // Drops facts, outputs and captions of pictures that are not in the scan.
  void keep_only(const ImageScan& scan, const std::vector<std::string>& names);

  ImageFactsCache facts;
  std::map<std::string, PreparedOutput> outputs;   // by file_name
  std::map<std::string, WrittenCaption> captions;  // by file_name

 private:
  std::string text() const;

  Path path_;
  std::string facts_key_;
  std::string written_;  // content of the file
  bool existed_ = false;
  std::chrono::steady_clock::time_point last_;
};

// What changes the facts: the background shows through when the hash is made.
std::string facts_key(const ImageDataOptions& options);

}  // namespace lora
