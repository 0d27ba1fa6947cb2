// SPDX-License-Identifier: Apache-2.0
// `lora prepare text`: one clean JSONL file out of any supported texts. The output folder holds
//   train.jsonl          a record a line: {"messages": [...]}, {"text": ...} or {"input_ids": ...}
//   validation.jsonl     where a share is kept for validation
//   prepare_report.tsv   each record that was left out or looks odd: place, verdict, reason
//   .prepare.json        hashes of what was written, so that an edited file is not overwritten
// The same input and options give the same bytes; a file whose content stays is not touched.
#pragma once

#include <string>
#include <vector>

#include "data/prompt_template.h"
#include "data/text_dataset.h"

namespace lora {

struct PrepareTextOptions {
  Path input;                    // a file or a folder
  std::string format = "auto";   // a name of text_formats()
  ColumnNames columns;           // role -> name in the file
  double similarity = 0.8;       // records at least this alike are duplicates; 1: equal ones only
  bool keep_duplicates = false;  // then they are only noted
  double validation_split = 0;   // share, 0 to 0.9
  std::int64_t seed = 42;        // of the split
};

struct TextNote {
  std::string place;    // "data/a.jsonl:5"
  std::string verdict;  // broken, empty, duplicate, near-duplicate: left out; note: kept
  std::string reason;
};

struct Spread {
  std::int64_t shortest = 0, median = 0, p95 = 0, longest = 0;
};
Spread spread_of(std::vector<std::int64_t> lengths);

struct PreparedText {
  TextDataset train, validation;  // format and files: of all
  std::vector<TextNote> notes;    // in the order of the input
  std::size_t read = 0, left_out = 0;
  Spread characters;  // of what is kept
};

// Reads, cleans (line ends, blanks at the end of a text), drops duplicates and divides. A record is
// a duplicate where it is equal to an earlier one but for spelling details, or where its questions
// and its answers are each at least `similarity` alike (near_duplicates.h), under the same system
// message. The validation share is drawn by a hash of seed and content: where records are added,
// the others stay on their side. Throws Error (usage) where nothing is left.
PreparedText prepare_text(const PrepareTextOptions& options);

// Writes the files above; returns how many changed. Throws Error (usage) where the folder holds
// other files, or one of these was edited by hand and would change.
std::size_t write_prepared_text(const PreparedText& prepared, const Path& output);

}  // namespace lora
