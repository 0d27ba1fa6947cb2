// SPDX-License-Identifier: Apache-2.0
// The file is decoded here by a reader written from the format alone.
#include "io/event_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <vector>

namespace lora {
namespace {

template <typename T>
T number_at(std::string_view bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::uint32_t unmask(std::uint32_t value) {
  value -= 0xA282EAD8U;
  return value >> 17U | value << 15U;
}

// Payloads of all records; checksums and lengths must be right to the last byte.
std::vector<std::string> records(const Path& path) {
  const std::string bytes = read_file(path);
  std::vector<std::string> found;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto length = number_at<std::uint64_t>(bytes, at);
    EXPECT_EQ(unmask(number_at<std::uint32_t>(bytes, at + 8)),
              crc32c(std::string_view(bytes).substr(at, 8)));
    found.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(unmask(number_at<std::uint32_t>(bytes, at + 12 + length)), crc32c(found.back()));
    at += 16 + length;
  }
  EXPECT_EQ(at, bytes.size());
  return found;
}

std::uint64_t varint(std::string_view bytes, std::size_t& at) {
  std::uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if (byte < 0x80) return value;
  }
}

// Field number -> raw content (last one wins); varints as 8 bytes.
std::map<std::uint32_t, std::string> fields(std::string_view bytes) {
  std::map<std::uint32_t, std::string> found;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::uint64_t key = varint(bytes, at);
    std::size_t size = 8;
    switch (key & 7U) {
      case 0: {
        const std::uint64_t value = varint(bytes, at);
        found[static_cast<std::uint32_t>(key >> 3U)] =
            std::string(reinterpret_cast<const char*>(&value), sizeof value);
        continue;
      }
      case 2:
        size = varint(bytes, at);
        break;
      case 5:
        size = 4;
        break;
      default:
        break;
    }
    found[static_cast<std::uint32_t>(key >> 3U)] = std::string(bytes.substr(at, size));
    at += size;
  }
  return found;
}

class EventFiles : public testing::Test {
 protected:
  EventFiles() : folder_(std::filesystem::temp_directory_path() / join_pid("lora_events_")) {}
  ~EventFiles() override { std::filesystem::remove_all(folder_); }
  static std::string join_pid(const std::string& stem) { return stem + std::to_string(getpid()); }
  Path folder_;
};

TEST(Crc32c, KnownVectors) {  // RFC 3720, appendix B.4
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
}

TEST_F(EventFiles, HoldScalarsThatDecode) {
  EventFile file(folder_);
  file.scalar("train/loss", 300, 2.5);
  file.flush();
  const auto all = records(file.path());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(fields(all[0]).at(3), "brain.Event:2");
  auto event = fields(all[1]);
  EXPECT_GT(number_at<double>(event.at(1), 0), 1.7e9);
  EXPECT_EQ(number_at<std::uint64_t>(event.at(2), 0), 300U);
  auto value = fields(fields(event.at(5)).at(1));
  EXPECT_EQ(value.at(1), "train/loss");
  EXPECT_EQ(number_at<float>(value.at(2), 0), 2.5F);
}

TEST_F(EventFiles, HoldTextsForTheTextPanel) {
  EventFile file(folder_);
  file.text("config", 0, std::string(1000, 'x'));
  file.flush();
  auto value = fields(fields(fields(records(file.path()).at(1)).at(5)).at(1));
  EXPECT_EQ(value.at(1), "config/text_summary");
  EXPECT_EQ(fields(fields(value.at(9)).at(1)).at(1), "text");
  auto tensor = fields(value.at(8));
  EXPECT_EQ(number_at<std::uint64_t>(tensor.at(1), 0), 7U);  // DT_STRING
  EXPECT_EQ(number_at<std::uint64_t>(fields(fields(tensor.at(2)).at(2)).at(1), 0), 1U);
  EXPECT_EQ(tensor.at(8), std::string(1000, 'x'));
}

TEST_F(EventFiles, HoldPictures) {
  EventFile file(folder_);
  file.image("samples/0", 7, 64, 48, "PNGDATA");
  file.flush();
  auto image = fields(fields(fields(fields(records(file.path()).at(1)).at(5)).at(1)).at(4));
  EXPECT_EQ(number_at<std::uint64_t>(image.at(1), 0), 48U);
  EXPECT_EQ(number_at<std::uint64_t>(image.at(2), 0), 64U);
  EXPECT_EQ(image.at(4), "PNGDATA");
}

TEST_F(EventFiles, ARestartIsAFileOfItsOwn) {
  EventFile first(folder_), second(folder_);
  EXPECT_NE(first.path(), second.path());
  second.restart_at(21);
  second.flush();
  auto event = fields(records(second.path()).at(1));
  EXPECT_EQ(number_at<std::uint64_t>(event.at(2), 0), 21U);
  EXPECT_EQ(number_at<std::uint64_t>(fields(event.at(7)).at(1), 0), 1U);  // START
}

}  // namespace
}  // namespace lora
