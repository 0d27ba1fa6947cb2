// SPDX-License-Identifier: Apache-2.0
// For tests: a folder of data files of their own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "base/error.h"
#include "base/files.h"

namespace lora::test {

class TextData : public testing::Test {
 public:
  void SetUp() override {
    folder_ = Path(testing::TempDir()) / ("textdata-" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Path write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    write_file_atomic(folder_ / name, content);
    return folder_ / name;
  }
  // The message, with the folder's name cut.
  template <typename Call>
  std::string error_of(Call call) const {
    try {
      call();
    } catch (const Error& error) {
      std::string text = error.what();
      for (std::size_t at; (at = text.find(folder_.string())) != std::string::npos;) {
        text.replace(at, folder_.string().size(), "DIR");
      }
      return text;
    }
    return "no error";
  }
  Path folder_;
};

}  // namespace lora::test
