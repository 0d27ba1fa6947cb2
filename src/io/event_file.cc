// SPDX-License-Identifier: Apache-2.0
#include "io/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include "base/error.h"

namespace lora {
namespace {

static_assert(std::endian::native == std::endian::little);

// Field numbers of tensorflow/core/util/event.proto and framework/summary.proto.
constexpr std::uint32_t kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3,
                        kEventSummary = 5, kEventSessionLog = 7;
constexpr std::uint32_t kSessionStatus = 1, kSessionStart = 1;
constexpr std::uint32_t kSummaryValue = 1;
constexpr std::uint32_t kValueTag = 1, kValueSimple = 2, kValueImage = 4, kValueTensor = 8,
                        kValueMetadata = 9;
constexpr std::uint32_t kImageHeight = 1, kImageWidth = 2, kImageColors = 3, kImageBytes = 4;
constexpr std::uint32_t kMetadataPlugin = 1, kPluginName = 1;
constexpr std::uint32_t kTensorType = 1, kTensorShape = 2, kTensorString = 8;
constexpr std::uint32_t kShapeDimension = 2, kDimensionSize = 1;
constexpr std::uint32_t kTypeString = 7, kColorsRgb = 3;

// Wire types of protocol buffers.
constexpr std::uint32_t kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

// A protocol-buffer message under construction.
class Message {
 public:
  Message& number(std::uint32_t field, std::uint64_t value) {
    varint(field << 3U | kVarint);
    varint(value);
    return *this;
  }
  Message& real64(std::uint32_t field, double value) { return fixed(field, kFixed64, value); }
  Message& real32(std::uint32_t field, float value) { return fixed(field, kFixed32, value); }
  Message& bytes(std::uint32_t field, std::string_view value) {
    varint(field << 3U | kBytes);
    varint(value.size());
    text_ += value;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  template <typename T>
  Message& fixed(std::uint32_t field, std::uint32_t type, T value) {
    varint(field << 3U | type);
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) text_ += static_cast<char>(value | 0x80U);
    text_ += static_cast<char>(value);
  }

  std::string text_;
};

std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1U ^ (value & 1U ? 0x82F63B78U : 0U);
    table[i] = value;
  }
  return table;
}

// TFRecord masks its checksums, because a CRC of data that holds its own CRC is weak.
std::uint32_t masked(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return (crc >> 15U | crc << 17U) + 0xA282EAD8U;
}

template <typename T>
std::string_view as_bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

Path new_file(const Path& folder) {
  char host[256] = "localhost";
  gethostname(host, sizeof host - 1);
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  for (int n = 0;; ++n) {
    Path path = folder / join("events.out.tfevents.", now, ".", host, ".", getpid(), ".", n);
    if (!std::filesystem::exists(path)) return path;
  }
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> table = crc_table();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xFFU] ^ crc >> 8U;
  }
  return ~crc;
}

EventFile::EventFile(const Path& folder) {
  std::filesystem::create_directories(folder);
  path_ = new_file(folder);
  out_.open(path_, std::ios::binary);
  write_event(0, kEventFileVersion, "brain.Event:2");
}

void EventFile::restart_at(std::int64_t step) {
  write_event(step, kEventSessionLog, Message().number(kSessionStatus, kSessionStart).text());
}

void EventFile::scalar(std::string_view tag, std::int64_t step, double value) {
  Message entry;
  entry.bytes(kValueTag, tag).real32(kValueSimple, static_cast<float>(value));
  write_event(step, kEventSummary, Message().bytes(kSummaryValue, entry.text()).text());
}

void EventFile::text(std::string_view tag, std::int64_t step, std::string_view markdown) {
  Message plugin, metadata, dimension, shape, tensor, entry;
  plugin.bytes(kPluginName, "text");
  metadata.bytes(kMetadataPlugin, plugin.text());
  dimension.number(kDimensionSize, 1);
  shape.bytes(kShapeDimension, dimension.text());
  tensor.number(kTensorType, kTypeString).bytes(kTensorShape, shape.text());
  tensor.bytes(kTensorString, markdown);
  entry.bytes(kValueTag, join(tag, "/text_summary")).bytes(kValueTensor, tensor.text());
  entry.bytes(kValueMetadata, metadata.text());
  write_event(step, kEventSummary, Message().bytes(kSummaryValue, entry.text()).text());
}

void EventFile::image(std::string_view tag, std::int64_t step, std::int64_t width,
                      std::int64_t height, std::string_view png) {
  Message picture, entry;
  picture.number(kImageHeight, static_cast<std::uint64_t>(height));
  picture.number(kImageWidth, static_cast<std::uint64_t>(width));
  picture.number(kImageColors, kColorsRgb).bytes(kImageBytes, png);
  entry.bytes(kValueTag, tag).bytes(kValueImage, picture.text());
  write_event(step, kEventSummary, Message().bytes(kSummaryValue, entry.text()).text());
}

void EventFile::flush() { out_.flush(); }

void EventFile::write_event(std::int64_t step, std::uint32_t field, std::string_view message) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  Message event;
  event.real64(kEventWallTime, now).number(kEventStep, static_cast<std::uint64_t>(step));
  write_record(event.bytes(field, message).text());
}

void EventFile::write_record(std::string_view bytes) {
  const std::uint64_t length = bytes.size();
  const std::uint32_t length_crc = masked(as_bytes(length)), crc = masked(bytes);
  out_ << as_bytes(length) << as_bytes(length_crc) << bytes << as_bytes(crc);
  if (!out_) fail(path_.string(), ": cannot write; is the disk full?");
}

}  // namespace lora
