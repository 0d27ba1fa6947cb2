// SPDX-License-Identifier: Apache-2.0
// Replay: the samples that a version was trained on, found again by its data_manifest.tsv, for
// texts and pictures alike. A sample is recognised by its hash, wherever it stands in its file or
// folder today.
#pragma once

#include <string>
#include <vector>

#include "data/image_dataset.h"
#include "data/text_dataset.h"

namespace lora {

struct ReplayTexts {
  TextDataset dataset;                // the records that are unchanged
  std::vector<std::string> problems;  // the others: "FILE:ROW: changed or removed since ..."
};
struct ReplayPictures {
  std::vector<ImageRecord> records;  // with the captions that they have today
  std::vector<std::string> problems;
};

// Reads the files that rows of the roles new and replay name. `format` and `columns`: as the parent
// read them. Throws Error (usage) where nothing is left.
ReplayTexts replay_texts(const Path& manifest, const std::string& format,
                         const ColumnNames& columns);

// Looks in the parent's folder (`trained`, with its `metadata`), and for pictures of its own parent
// in theirs. `options`: of the new run. Throws Error (usage) where nothing is left.
ReplayPictures replay_pictures(const Path& manifest, const ImageDataOptions& options,
                               const Path& trained, const Path& metadata);

}  // namespace lora
