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
#include "data/text_files.h"
#include "data/text_folder.h"

namespace lora {

// One record of a file. Exactly one of `messages`, `text` and `tokens.ids` is used.
struct TextRecord {
  std::vector<Message> messages;
  Fields variables;  // what else the template gets: tools, and the record's chat_template_kwargs
  std::string text;
  TextSample tokens;
  RecordPlace at;      // the file as the user wrote it, or below the folder the user wrote
  std::string remark;  // what is unusual about it and was settled, "" = nothing
  std::string sha256;  // of the content, independent of file and format
};

// The text of a record, or of its messages and their calls, a line each; "" for tokens.
std::string content_of(const TextRecord& record);

struct TextDataset {
  std::string format;  // a name of text_formats()
  std::vector<TextRecord> records;
  std::vector<Path> files;
  std::vector<std::string> notes;  // files and records left out, and why
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
                              std::vector<LeftOut>* left_out = nullptr,
                              Purpose purpose = Purpose::training);

// Tokenised samples and where each came from.
struct TextSamples {
  std::vector<TextSample> samples;
  std::vector<std::size_t> records;  // of each sample: index into the data set's records
  std::int64_t tokens = 0, targets = 0;
  std::int64_t truncated = 0;    // samples that were longer than max_seq_length
  std::int64_t answers_cut = 0;  // of these: the answer lost its end
  std::int64_t longest = 0;      // tokens of the longest sample before anything was cut
  std::int64_t unwritten = 0;    // records of which the template does not write a part
  std::string first_unwritten;   // "data/a.jsonl:5: the content of turn 2 (assistant)"
};

void add_sample(TextSamples& to, TextSample sample, std::size_t record);

// Conversations and token lists longer than max_seq_length are cut (fit_lengths); running text is
// divided into pieces, so that nothing of it is lost. Throws Error (usage) with file and row; with
// `left_out`, such a record is noted there and the rest is used.
TextSamples tokenize_dataset(const TextDataset& dataset, const PromptTemplate& prompt,
                             const TextConfig& config, std::vector<LeftOut>* left_out = nullptr);

// How much of prompt and answer stays, as LLaMA-Factory divides: a short side keeps all.
struct Lengths {
  std::int64_t prompt = 0, answer = 0;
};
Lengths fit_lengths(std::int64_t prompt, std::int64_t answer, std::int64_t limit);

}  // namespace lora
