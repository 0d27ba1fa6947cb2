// SPDX-License-Identifier: Apache-2.0
#include "io/metrics_file.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"
#include "base/text.h"

namespace lora {

MetricsFile::MetricsFile(const Path& path, std::int64_t last_step) : path_(path) {
  std::string kept;
  if (last_step >= 0 && std::filesystem::exists(path)) {
    for (const nlohmann::json& row : read_metrics(path)) {
      const auto step = row.find("step");
      const bool later = step != row.end() && step->is_number() && *step > last_step;
      if (!later) kept += row.dump() + "\n";
    }
  }
  write_file_atomic(path, kept);
  out_.open(path, std::ios::app | std::ios::binary);
}

void MetricsFile::write(const nlohmann::json& row) {
  out_ << row.dump() << '\n' << std::flush;
  if (!out_) fail(path_.string(), ": cannot write; is the disk full?");
}

std::vector<nlohmann::json> read_metrics(const Path& path) {
  std::vector<nlohmann::json> rows;
  const std::string content = read_file(path);
  const std::vector<std::string> lines = split(content, '\n');
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    std::optional<nlohmann::json> row = try_parse_json<nlohmann::json>(lines[i]);
    if (row && row->is_object()) {
      rows.push_back(std::move(*row));
    } else if (i + 1 < lines.size()) {
      fail(path.string(), ":", i + 1, ": not a JSON object; was the file edited?");
    }
  }
  return rows;
}

}  // namespace lora
