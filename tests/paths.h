// SPDX-License-Identifier: Apache-2.0
// Where the tests find their files.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace lora::test {

inline std::filesystem::path from_environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? std::filesystem::path(value)
                                            : std::filesystem::path(otherwise);
}

// Reference numbers of our own making: $LORA_GOLDEN, default tests/golden.
inline std::filesystem::path golden() {
  return from_environment("LORA_GOLDEN", std::string(LORA_SOURCE_DIR) + "/tests/golden");
}

// Real files of others: $LORA_DATA, default ../shared/data. May be absent: then skip, saying so.
inline std::filesystem::path data() {
  return from_environment("LORA_DATA", std::string(LORA_SOURCE_DIR) + "/../shared/data");
}

}  // namespace lora::test

// First line of a test that needs `path`: skips, naming what is absent.
#define LORA_SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "skipped: no " << (path).string()
