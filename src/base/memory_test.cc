// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"

namespace lora {
namespace {

TEST(Memory, AFileThatBecomesShorterIsTold) {
  const Path path = Path(testing::TempDir()) / "lora-memory-test";
  const auto read_what_is_gone = [&] {
    tell_of_lost_pages();
    write_file_atomic(path, std::string(1 << 16, 'x'));
    const MappedFile file(path);
    std::filesystem::resize_file(path, 0);
    volatile std::byte last = file.bytes().back();
    static_cast<void>(last);
  };
  EXPECT_EXIT(read_what_is_gone(), testing::ExitedWithCode(1),
              "lora: a file became shorter while it was read");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace lora
