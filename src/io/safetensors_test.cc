// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/paths.h"

namespace lora {

TEST(GoldenSafetensors, WritesTheBytesOfTheReferenceWriter) {
  for (const char* name : {"llm/llama/lora/adapter_model.safetensors",
                           "sd/lora/b_peft_lora_A_B.safetensors"}) {
    const Path path = test::golden() / name;
    const auto file = SafetensorsFile::open(path);
    EXPECT_EQ(encode_safetensors(file->tensors(), file->metadata()), read_file(path)) << name;
  }
}

// Pickles begin with 0x80 and their version, 1 to 5; so may the length of a header.
TEST(Safetensors, LengthsThatBeginLikeAPickleAreRead) {
  const Path path = std::filesystem::temp_directory_path() / "lora_header_lengths.safetensors";
  const std::size_t rest = std::string_view(R"({"__metadata__":{"note":""}})").size();
  for (const std::size_t length : {384, 640, 896, 1152, 1408}) {
    const std::string note(length - rest, '.');
    write_safetensors(path, {}, {{"note", note}});
    const std::string bytes = read_file(path);
    EXPECT_EQ(bytes[0], '\x80') << length;
    EXPECT_EQ(static_cast<std::size_t>(bytes[1]), length / 256);
    EXPECT_EQ(SafetensorsFile::open(path)->metadata().at("note"), note);
  }
  std::filesystem::remove(path);
}

TEST(Safetensors, PicklesAreNamed) {
  const Path path = std::filesystem::temp_directory_path() / "lora_pickle.safetensors";
  const auto refused = [&](const std::string& bytes) {
    write_file_atomic(path, bytes);
    try {
      SafetensorsFile::open(path);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("read");
  };
  const std::string message =
      path.string() + ": this is a pickle (.ckpt, .bin, .pt), which can run code when loaded; "
                      "convert it to .safetensors with the program it came from";
  const std::string frame(8, '\x01');
  EXPECT_EQ(refused("PK\x03\x04" + frame), message);
  for (const char* start : {"\x80\x02\x8a\x0a", "\x80\x04\x95"}) {
    EXPECT_EQ(refused(start + frame), message);
  }
  std::filesystem::remove(path);
}

}  // namespace lora
