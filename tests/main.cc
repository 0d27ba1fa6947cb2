// SPDX-License-Identifier: Apache-2.0
// Every run of the tests has a temporary folder of its own: whatever a test writes below
// temp_directory_path(), two runs at once (two checkouts, two ctest entries) never meet there.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace {

// Made before the first test, removed after the last one. The programs that tests start inherit it.
class OwnTemporaryFolder : public testing::Environment {
 public:
  OwnTemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lora_tests_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    folder_ = name;
    setenv("TMPDIR", name.c_str(), 1);
    setenv("TEST_TMPDIR", (name + "/").c_str(), 1);  // testing::TempDir()
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new OwnTemporaryFolder);
  return RUN_ALL_TESTS();
}
