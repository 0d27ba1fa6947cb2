// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz.h"
#include "tokenizers/tokenizer.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const lora::Path file = lora::fuzz::folder().file("tokenizer.json", lora::fuzz::text_of(data, size));
  lora::fuzz::attempt([&] {
    const auto tokenizer = lora::Tokenizer::load(file);
    const auto ids = tokenizer->encode("Hello, 12 w\u00f6rlds! aaaaaaaaaaaaaaaaaaaa<s>", {true, true});
    tokenizer->decode(ids);
  });
  return 0;
}
