// SPDX-License-Identifier: Apache-2.0
// What a data set looks like. Recorded with a version (data_stats.json), so that preflight can
// compare the next version's data with it although the old files may be gone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/drift.h"
#include "data/image_dataset.h"
#include "data/overlap.h"
#include "data/prompt_template.h"
#include "data/text_dataset.h"

namespace lora {

inline constexpr std::string_view kStatsName = "data_stats.json";

struct DataStats {
  std::string kind;          // "texts" or "pictures"
  std::int64_t samples = 0;  // records, pictures
  // A value a sample, of at most 1000 samples, evenly taken. Pictures: brightness, contrast,
  // saturation, colourfulness, sharpness (log, relative to the contrast), aspect (log of
  // width / height). Texts: prompt_tokens, answer_tokens (log).
  std::map<std::string, std::vector<double>> measures;
  Terms terms;  // pictures: parts of the captions; texts: words
  // Share of the samples of which something holds. Both: "cut" (longer than allowed). Texts:
  // "answer_cut", "ends" (the last trained token ends the turn), "begins" (with BOS),
  // "begins_twice", and "marker " + name for each prompt format whose markers stand in the data
  // (find_markers). Pictures: "trigger", "trigger_first", "tags" (a list rather than a sentence),
  // "underscores".
  std::map<std::string, double> shares;
  std::int64_t longest = 0;  // tokens of the longest sample or caption before anything was cut
  // Pictures.
  std::string trigger;         // the word whose share is "trigger"; "" = none
  std::int64_t too_small = 0;  // pictures that were left out as smaller than the resolution
  std::map<std::string, std::int64_t> settings;  // resolution, buckets, bucket_min, ...
  std::vector<PictureMark> marks;
  // Texts: markers that the template writes around the messages; empty where it writes none.
  std::vector<std::string> template_markers;

  std::optional<double> share(const std::string& name) const;
};

// Every how many-th of so many samples is measured.
constexpr std::size_t measured_step(std::size_t samples) { return (samples + 999) / 1000; }

struct TokenisedTexts {
  const TextDataset& data;
  const TextSamples& samples;  // of `data`
};
// Statistics of texts, tokenised with `prompt`.
DataStats text_stats(const std::vector<TokenisedTexts>& sets, const PromptTemplate& prompt);

// Statistics of pictures. `trigger`: the word to look for in captions; where it is empty, the
// first part that nearly all captions begin with. The caller fills `settings`, `too_small` and what
// needs a tokenizer: "cut", `longest`.
DataStats picture_stats(const std::vector<ImageRecord>& records, const std::string& trigger);

// data_stats.json. Numbers are rounded to four digits.
std::string stats_json(const DataStats& stats);
// Throws Error (integrity) where the text is not that of stats_json; `where` stands for the file.
DataStats parse_stats(const std::string& text, const std::string& where);
// nullopt where the folder has none (versions of other programs, or of earlier releases).
std::optional<DataStats> read_stats(const Path& folder);

}  // namespace lora
