// SPDX-License-Identifier: Apache-2.0
#include "data/text_dataset.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = lora::fuzz::text_of(data, size);
  for (const char* name : {"a.jsonl", "a.json", "a.csv"}) {
    const lora::Path file = lora::fuzz::folder().file(name, text);
    std::vector<lora::LeftOut> left_out;
    lora::fuzz::attempt([&] { lora::load_text_dataset(file, "auto", {}, nullptr); });
    lora::fuzz::attempt([&] { lora::load_text_dataset(file, "auto", {}, &left_out); });
  }
  return 0;
}
