// SPDX-License-Identifier: Apache-2.0
// A data set read and tokenised without the records that cannot be used.
#pragma once

#include <string>
#include <vector>

#include "data/text_dataset.h"

namespace lora {

struct UsableTexts {
  TextDataset data;
  TextSamples samples;
  std::int64_t left_out = 0;  // records
  // For people: the first records that are left out and why, how many they are, files that are not
  // read, records that begin with an answer, what the template does not write.
  std::vector<std::string> notes;
};

// Where and how it is read: format and columns as load_text_dataset takes them.
struct TextsToRead {
  Path path;
  std::string format = "auto";
  ColumnNames columns = {};
  Purpose purpose = Purpose::training;
  double bad_records = 0.5;  // share of the records that may be left out
};

// Throws Error (usage): a whole file cannot be read; more records than allowed, or all, cannot be
// used, with the first of them.
UsableTexts read_usable_texts(const TextsToRead& from, const PromptTemplate& prompt,
                              const TextConfig& config);

}  // namespace lora
