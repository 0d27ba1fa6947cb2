// SPDX-License-Identifier: Apache-2.0
#include "data/data_manifest.h"

#include <map>

#include "base/error.h"
#include "base/text.h"

namespace lora {
namespace {

constexpr const char* kHeader = "role\tsha256\tsize\tcaption_sha256\tpath\trow";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\t') {
      out += "\\t";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out;
}

std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    out += c == 't' ? '\t' : c == 'n' ? '\n' : c;
  }
  return out;
}

bool is_hash(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::int64_t whole_number(const std::string& text) {
  const bool digits = !text.empty() && text.size() < 18 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  return digits ? std::stoll(text) : -1;
}

ManifestRow read_row(const std::string& line, const std::string& where) {
  const std::vector<std::string> cells = split(line, '\t');
  if (cells.size() != 6) {
    fail_integrity(where, ": not a row of a data manifest (found ", cells.size(),
                   " cells, expected 6)");
  }
  ManifestRow row{
      cells[0], cells[1], cells[2], cells[3], unescaped(cells[4]), whole_number(cells[5])};
  if (!is_hash(row.sha256)) fail_integrity(where, ": '", row.sha256, "' is not a SHA-256");
  if (row.row < 0) fail_integrity(where, ": '", cells[5], "' is not a row number");
  return row;
}

}  // namespace

std::string manifest_text(const std::vector<ManifestRow>& rows) {
  std::string out = std::string(kHeader) + "\n";
  for (const ManifestRow& row : rows) {
    out += row.role + "\t" + row.sha256 + "\t" + row.size + "\t" + row.caption_sha256 + "\t" +
           escaped(row.path) + "\t" + std::to_string(row.row) + "\n";
  }
  return out;
}

std::vector<ManifestRow> read_manifest(const Path& file) {
  const std::vector<std::string> lines = split(read_file(file), '\n');
  if (lines.front() != kHeader) {
    fail_integrity(file.string(), ":1: not a data manifest (found '", lines.front().substr(0, 60),
                   "', expected the columns of one)");
  }
  std::vector<ManifestRow> out;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].empty() && i + 1 == lines.size()) break;
    out.push_back(read_row(lines[i], join(file.string(), ":", i + 1)));
  }
  return out;
}

std::vector<ManifestRow> manifest_rows(const TextDataset& dataset, const TextSamples& samples,
                                       const std::string& role) {
  std::map<std::size_t, std::size_t> tokens;  // only records that have samples here
  for (std::size_t i = 0; i < samples.samples.size(); ++i) {
    tokens[samples.records[i]] += samples.samples[i].ids.size();
  }
  std::vector<ManifestRow> out;
  for (const auto& [index, count] : tokens) {
    const TextRecord& record = dataset.records[index];
    out.push_back(
        {role, record.sha256, std::to_string(count), "-", record.at.file.string(), record.at.row});
  }
  return out;
}

std::vector<ManifestRow> manifest_rows(const std::vector<ImageRecord>& pictures,
                                       const std::string& role) {
  std::vector<ManifestRow> out;
  for (const ImageRecord& picture : pictures) {
    out.push_back({.role = role,
                   .sha256 = picture.sha256,
                   .size = join(picture.size.width, "x", picture.size.height),
                   .caption_sha256 = sha256(picture.caption),
                   .path = path_of(picture),
                   .row = 0});
  }
  return out;
}

}  // namespace lora
