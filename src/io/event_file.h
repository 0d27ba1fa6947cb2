// SPDX-License-Identifier: Apache-2.0
// TensorBoard event files: a sequence of TFRecords (length, masked CRC-32C of the length, bytes,
// masked CRC-32C of the bytes; all little-endian), each one `Event` message of protocol buffers.
// Only the few public field numbers that TensorBoard reads are written; they stand in the .cc.
// docs/formats.md. No libtorch here.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "base/files.h"

namespace lora {

// CRC-32C (Castagnoli), as TFRecords use it, before masking.
std::uint32_t crc32c(std::string_view bytes);

// Appends events to one file; every call may throw Error naming the file (disk full).
class EventFile {
 public:
  // Creates `folder`/events.out.tfevents.<seconds>.<host>.<process>.<n>. An existing file is never
  // touched: a continued run adds a file of its own.
  explicit EventFile(const Path& folder);

  // Tells TensorBoard to forget what earlier files of the folder say about `step` and later.
  void restart_at(std::int64_t step);

  void scalar(std::string_view tag, std::int64_t step, double value);
  // Shown as Markdown in the text panel.
  void text(std::string_view tag, std::int64_t step, std::string_view markdown);
  // `png`: an encoded PNG or JPEG picture.
  void image(std::string_view tag, std::int64_t step, std::int64_t width, std::int64_t height,
             std::string_view png);
  void flush();

  const Path& path() const { return path_; }

 private:
  void write_event(std::int64_t step, std::uint32_t field, std::string_view message);
  void write_record(std::string_view bytes);

  Path path_;
  std::ofstream out_;
};

}  // namespace lora
