// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const lora::Path file = lora::fuzz::folder().file("a.safetensors", lora::fuzz::text_of(data, size));
  lora::fuzz::attempt([&] {
    const auto opened = lora::SafetensorsFile::open(file);
    std::size_t sum = 0;
    for (const lora::TensorView& view : opened->tensors()) {
      for (std::size_t i = 0; i < view.bytes(); ++i) sum += static_cast<std::size_t>(view.data[i]);
    }
    if (opened->find("lm_head.weight") != nullptr && sum == 0) std::abort();
  });
  return 0;
}
