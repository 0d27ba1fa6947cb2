// SPDX-License-Identifier: Apache-2.0
// Training texts from JSON, JSONL, CSV and TXT files, or folders of them.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "config/groups.h"
#include "data/prompt_template.h"

namespace lora {

// One record of a file. Exactly one of `messages`, `text` and `tokens.ids` is used.
struct TextRecord {
  std::vector<Message> messages;
  std::string text;
  TextSample tokens;
  Path file;                       // as the user wrote it, or below the folder the user wrote
  std::int64_t row = 0;            // line (JSONL, CSV) or number of the record (JSON), from 1
  std::string_view unit = "line";  // or "record"
  std::string sha256;              // of the content, independent of file and format
};

// The text of a record, or of its messages, a line each; "" for tokens.
std::string content_of(const TextRecord& record);

// Where it stands: "data/a.jsonl:5", "data/b.json: record 7".
std::string place_of(const TextRecord& record);

struct TextDataset {
  std::string format;  // a name of text_formats()
  std::vector<TextRecord> records;
  std::vector<Path> files;
  std::vector<std::string> notes;  // records left out, and why
};

// A record that cannot be used, and why.
struct LeftOut {
  std::string place;  // "data/a.jsonl:5", "data/b.json: record 7", "data/c.csv"
  std::string reason;
};

using ColumnNames = std::map<std::string, std::string>;  // role -> name in the file

// One way to read a record. `fields` are the roles, the first of which must be there.
struct FormatRow {
  const char* name;
  const char* help;
  bool (*matches)(const nlohmann::ordered_json& record, const ColumnNames& columns);
  // Fills the record; throws Error without the place, which the caller adds.
  void (*read)(const nlohmann::ordered_json& record, const ColumnNames& columns, TextRecord& out);
};
std::span<const FormatRow> text_formats();

// `format`: "auto" or a name of the table. Throws Error (usage) with file and line: not UTF-8, not
// JSON, a field missing or of the wrong kind; or, naming what was looked for and found, where
// there is nothing to train on.
//
// With `left_out`, whatever concerns one record or one file is noted there and the rest is read.
TextDataset load_text_dataset(const Path& path, const std::string& format = "auto",
                              const ColumnNames& columns = {},
                              std::vector<LeftOut>* left_out = nullptr);

// Tokenised samples and where each came from.
struct TextSamples {
  std::vector<TextSample> samples;
  std::vector<std::size_t> records;  // of each sample: index into the data set's records
  std::int64_t tokens = 0, targets = 0;
  std::int64_t truncated = 0;    // samples that were longer than max_seq_length
  std::int64_t answers_cut = 0;  // of these: the answer lost its end
  std::int64_t longest = 0;      // tokens of the longest sample before anything was cut
};

void add_sample(TextSamples& to, TextSample sample, std::size_t record);

// Conversations and token lists longer than max_seq_length are cut (fit_lengths); running text is
// divided into pieces, so that nothing of it is lost. Throws Error (usage) with file and row.
TextSamples tokenize_dataset(const TextDataset& dataset, const PromptTemplate& prompt,
                             const TextConfig& config);

// How much of prompt and answer stays, as LLaMA-Factory divides: a short side keeps all.
struct Lengths {
  std::int64_t prompt = 0, answer = 0;
};
Lengths fit_lengths(std::int64_t prompt, std::int64_t answer, std::int64_t limit);

}  // namespace lora
