// SPDX-License-Identifier: Apache-2.0
// Records out of JSON, JSONL, CSV and TXT files, compressed ones too.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace lora {

// Where a record stands in its file.
struct RecordPlace {
  Path file;
  std::int64_t row = 0;            // line (JSONL, CSV, TXT) or number of the record (JSON), from 1
  std::string_view unit = "line";  // or "record"

  std::string text() const;  // "data/a.jsonl:5", "data/b.json: record 7"
};

// What cannot be used, and why.
struct LeftOut {
  std::string place;  // "data/a.jsonl:5", "data/b.json: record 7", "data/c.csv"
  std::string reason;
  bool whole_file = false;
};

// Runs actions whose errors concern one record or one file: they are noted in the list, or thrown
// on where there is none.
class Attempts {
 public:
  explicit Attempts(std::vector<LeftOut>* left_out) : left_out_(left_out) {}

  bool noting() const { return left_out_ != nullptr; }
  void note(LeftOut item) const { left_out_->push_back(std::move(item)); }
  void record(const std::string& place, const std::function<void()>& action) const {
    run(place, false, action);
  }
  void file(const std::string& place, const std::function<void()>& action) const {
    run(place, true, action);
  }

 private:
  void run(const std::string& place, bool whole_file, const std::function<void()>& action) const;
  std::vector<LeftOut>* left_out_;
};

// The endings that are read, in lower case: ".jsonl, .json, ...".
std::string text_endings();
bool is_text_ending(std::string_view ending);

// Calls `take` for every record of the file. Throws Error (usage) with file and line.
using TakeRecord = std::function<void(nlohmann::ordered_json&& fields, const RecordPlace& place)>;
void read_text_file(const Path& file, const Attempts& attempts, const TakeRecord& take);

}  // namespace lora
