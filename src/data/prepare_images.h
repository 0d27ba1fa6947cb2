// SPDX-License-Identifier: Apache-2.0
// `lora prepare images`: writes what scan_images decided. The output folder holds
//   <name>.png              at training size, folders of the input kept
//   metadata.csv, .jsonl    file_name, text, source (of the caption), original
//   prepare_report.tsv      every input file: verdict, size, caption source, notes
//   .prepare.json           what each output was made from: a second run does only what changed
// Every file is written atomically, so a killed run loses nothing and is simply run again. A text
// that was edited in metadata.csv (or .jsonl) since the last run stays, with the source "edited".
#pragma once

#include "data/image_dataset.h"

namespace lora {

struct PrepareReport {
  ImageScan scan;
  std::size_t written = 0, unchanged = 0, removed = 0, edited = 0;
  std::vector<std::string> outputs;  // file_name of each used record, in order
};

// Throws Error (usage): the output lies inside the input or the other way round, or holds files of
// something else; nothing usable. Throws Error: disk. Nothing outside the output is written or
// removed, and in it nothing that an earlier run did not write.
PrepareReport prepare_images(const ImageDataOptions& options, const Path& output,
                             const ImageProgress& progress = {});

// `lora label`: metadata.csv and .jsonl alone, for the pictures of options.folder. What it
// remembers is in .NAME.state.json beside `csv`. Throws Error (usage) where `csv` exists and is not
// the result of an earlier run.
PrepareReport label_images(ImageDataOptions options, const Path& csv,
                           const ImageProgress& progress = {});

}  // namespace lora
