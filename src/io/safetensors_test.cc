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

}  // namespace lora
