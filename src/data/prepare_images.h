// SPDX-License-Identifier: Apache-2.0
// `lora prepare images`: writes what scan_images decided. The output folder holds
//   <name>.png              at training size, folders of the input kept
//   metadata.csv, .jsonl    file_name, text, source (of the caption), original
//   prepare_report.tsv      every input file: verdict, size, caption source, notes
//   .prepare.json           what each output was made from: a second run does only what changed
// Every file is written atomically, so a killed run loses nothing and is simply run again.
#pragma once

#include "data/image_dataset.h"

namespace lora {

struct PrepareReport {
  ImageScan scan;
  std::size_t written = 0, unchanged = 0, removed = 0;
  std::vector<std::string> outputs;  // file_name of each used record, in order
};

// Throws Error: the output lies inside the input or the other way round; nothing usable; disk.
PrepareReport prepare_images(const ImageDataOptions& options, const Path& output,
                             const ImageProgress& progress = {});

// metadata.csv / .jsonl alone (`lora label`): captions for the pictures of options.folder.
void write_metadata(const Path& csv, const ImageScan& scan, const std::vector<std::string>& names);

}  // namespace lora
