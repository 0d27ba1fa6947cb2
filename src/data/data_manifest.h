// SPDX-License-Identifier: Apache-2.0
// data_manifest.tsv: what a version was trained on, one line a sample, so that the next version
// can find the same samples again (replay) and see which have changed.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
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
void write_manifest(const Path& file, const std::vector<ManifestRow>& rows);
// Throws Error (integrity) with file and line where a line is not one of these.
std::vector<ManifestRow> read_manifest(const Path& file);

// Rows of a text data set; `samples` give the token counts.
std::vector<ManifestRow> manifest_rows(const TextDataset& dataset, const TextSamples& samples,
                                       const std::string& role);

struct ReplayData {
  TextDataset dataset;                // the records found unchanged
  std::vector<std::string> problems;  // "FILE:ROW: changed since v1 was trained", "...: missing"
};
// Reads the files that the manifest's rows of role "new" and "replay" name, each tried in turn
// below `roots`, and keeps the records whose hashes agree. A record that has moved within its file
// is found by its hash. Throws Error (usage) where nothing is left.
ReplayData load_replay(const Path& manifest, const std::vector<Path>& roots,
                       const std::string& format = "auto", const ColumnNames& columns = {});

// Records whose content stands more than once, in one set or in both: "FILE:ROW = FILE:ROW".
std::vector<std::string> find_duplicates(const TextDataset& a, const TextDataset& b);

}  // namespace lora
