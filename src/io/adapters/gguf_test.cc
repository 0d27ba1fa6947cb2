// SPDX-License-Identifier: Apache-2.0
#include "io/adapters/gguf.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "base/files.h"

namespace lora {
namespace {

Path temporary(const std::string& content) {
  const Path path = std::filesystem::temp_directory_path() / "lora-gguf-test.gguf";
  write_file_atomic(path, content);
  return path;
}

std::string expected_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Gguf, BrokenHeadersAreErrors) {
  const std::string good = "GGUF" + std::string("\3\0\0\0", 4) + std::string(16, '\0');
  EXPECT_EQ(read_gguf_header(temporary(good)).tensors.size(), 0u);
  EXPECT_EQ(
      expected_error([&] { read_gguf_header(temporary("GGML" + good.substr(4))); }),
      temporary("").string() + ": not a GGUF file (its first bytes are not GGUF); check the path");
  std::string many = good;
  many[16] = 1;  // one value is promised
  EXPECT_NE(expected_error([&] {
              read_gguf_header(temporary(many));
            }).find("the header ends beyond the file"),
            std::string::npos);
  std::string version = good;
  version[4] = 9;
  EXPECT_NE(expected_error([&] { read_gguf_header(temporary(version)); }).find("GGUF version 9"),
            std::string::npos);
}

}  // namespace
}  // namespace lora
