// SPDX-License-Identifier: Apache-2.0
// data_manifest.tsv: what a version was trained on, one line a sample, so that the next version
// can find the same samples again (replay) and see which have changed.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "data/image_dataset.h"
#include "data/text_dataset.h"

namespace lora {

// Columns in this order, separated by tabs, the first line is the header:
// role sha256 size caption_sha256 path row
struct ManifestRow {
  std::string role;    // "new", "replay" or "validation"
  std::string sha256;  // of the sample's content
  std::string size;    // text: tokens; pictures: "512x768"
  std::string caption_sha256 = "-";
  std::string path;      // as the user wrote it: relative to the working directory
  std::int64_t row = 0;  // of the sample in its file; 0 where a file is one sample
};

// Tabs, line ends and backslashes in a path are written as \t, \n, \\.
std::string manifest_text(const std::vector<ManifestRow>& rows);
// Throws Error (integrity) with file and line where a line is not one of these.
std::vector<ManifestRow> read_manifest(const Path& file);

// Rows of a text data set; `samples` give the token counts.
std::vector<ManifestRow> manifest_rows(const TextDataset& dataset, const TextSamples& samples,
                                       const std::string& role);

// Rows of pictures.
std::vector<ManifestRow> manifest_rows(const std::vector<ImageRecord>& pictures,
                                       const std::string& role);

}  // namespace lora
