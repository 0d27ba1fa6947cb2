// SPDX-License-Identifier: Apache-2.0
// metrics.jsonl: one JSON object a line, each with a "step". No libtorch here.
#pragma once

#include <cstdint>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "base/files.h"

namespace lora {

class MetricsFile {
 public:
  // Opens for appending. Lines about steps after `last_step` are dropped first: a continued run
  // writes them again. -1 starts afresh. Throws Error naming the file.
  MetricsFile(const Path& path, std::int64_t last_step);

  void write(const nlohmann::json& row);

 private:
  Path path_;
  std::ofstream out_;
};

// All rows; a last line cut off by a crash is left out. Throws Error for another broken line.
std::vector<nlohmann::json> read_metrics(const Path& path);

}  // namespace lora
