// SPDX-License-Identifier: Apache-2.0
#include "data/text_dataset.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.h"

namespace lora {
namespace {

using nlohmann::ordered_json;

struct RawRecord {
  const ordered_json& fields;
  const RecordPlace& at;
};

const FormatRow& choose_format(const std::string& format, const RawRecord& raw,
                               const ColumnNames& columns) {
  if (format != "auto") return row_of(text_formats(), "dataset_format", format);
  for (const FormatRow& row : text_formats()) {
    if (row.matches(raw.fields, columns)) return row;
  }
  std::vector<std::string> found, wanted;
  for (const auto& [name, unused] : raw.fields.items()) found.push_back(name);
  for (const FormatRow& row : text_formats()) wanted.push_back(join(row.name, ": ", row.help));
  fail_usage(raw.at.text(), ": no known format fits (found the fields ", join_words(found),
             "; expected one of ", join_words(wanted, "; "), "); name the fields with `columns`");
}

// Why a record cannot be trained on, or "".
std::string unusable(const TextRecord& record) {
  if (!record.tokens.ids.empty()) {
    const auto& labels = record.tokens.labels;
    const bool target = std::any_of(labels.begin() + 1, labels.end(),
                                    [](std::int64_t label) { return label != kIgnore; });
    return target ? "" : "no label is a target";
  }
  if (record.messages.empty()) return trim(record.text).empty() ? "the text is empty" : "";
  const auto is_answer = [](const Message& message) {
    if (message.role != "assistant" || !message.trained) return false;
    return !trim(message.content).empty() || !spoken_fields(message).empty();
  };
  const bool answered = std::ranges::any_of(record.messages, is_answer);
  return answered ? "" : "there is no answer, or it is empty";
}

std::string content_hash(const TextRecord& record) {
  if (!record.messages.empty()) return hash_of(record.messages, record.variables);
  ordered_json content = {{"text", record.text}};
  if (!record.tokens.ids.empty()) {
    content = {{"input_ids", record.tokens.ids}, {"labels", record.tokens.labels}};
  }
  return sha256(content.dump());
}

// Reads one record into `out`; `row` is the format of the one before.
void add_record(const RawRecord& raw, const std::string& format, const ColumnNames& columns,
                const FormatRow*& row, TextDataset& out, const Attempts& attempts) {
  if (!raw.fields.is_object()) {
    fail_usage(raw.at.text(), ": not a record (found ", raw.fields.type_name(),
               ", expected fields with names)");
  }
  const bool other = row == nullptr || (format == "auto" && !row->matches(raw.fields, columns));
  if (other) row = &choose_format(format, raw, columns);
  if (out.format.empty()) out.format = row->name;
  TextRecord record;
  record.at = raw.at;
  try {
    row->read(raw.fields, columns, record);
  } catch (const Error& error) {
    fail_usage(raw.at.text(), ": ", error.what());
  }
  const std::string reason = unusable(record);
  if (!reason.empty()) {
    const bool noted = attempts.noting();
    if (noted) attempts.note({raw.at.text(), reason});
    if (!noted) out.notes.push_back(raw.at.text() + ": left out: " + reason);
    return;
  }
  record.sha256 = content_hash(record);
  out.records.push_back(std::move(record));
}

}  // namespace

std::string content_of(const TextRecord& record) {
  std::string text = record.text;
  for (const Message& message : record.messages) text += whole_text(message);
  return text;
}

TextDataset load_text_dataset(const Path& path, const std::string& format,
                              const ColumnNames& columns, std::vector<LeftOut>* left_out,
                              Purpose purpose) {
  TextFiles found = find_text_files(path, purpose);
  TextDataset out;
  out.files = std::move(found.files);
  out.notes = std::move(found.notes);
  const std::size_t notes = out.notes.size();
  const FormatRow* row = nullptr;
  std::size_t read = 0;
  const Attempts attempts(left_out);
  for (const Path& file : out.files) {
    read_text_file(file, attempts, [&](ordered_json&& fields, const RecordPlace& at) {
      ++read;
      add_record({fields, at}, format, columns, row, out, attempts);
    });
  }
  const bool noted = left_out != nullptr && !left_out->empty();
  if (read == 0 && !noted) {
    fail_usage(path.string(), ": no records (read ", out.files.size(),
               " file(s), all of them empty)");
  }
  if (out.records.empty()) {
    fail_usage(
        path.string(), ": nothing to train on (", read, " records read, all left out; the first: ",
        noted ? join(left_out->front().place, ": ", left_out->front().reason) : out.notes[notes],
        ")");
  }
  return out;
}

}  // namespace lora
