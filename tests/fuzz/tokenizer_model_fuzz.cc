// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz.h"
#include "tokenizers/tokenizer.h"

// tokenizer.model: of SentencePiece, or a rank file of tiktoken.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const lora::Path file =
      lora::fuzz::folder().file("tokenizer.model", lora::fuzz::text_of(data, size));
  lora::fuzz::attempt([&] {
    const auto tokenizer = lora::Tokenizer::load(file);
    tokenizer->decode(tokenizer->encode("Hello, 12 w\u00f6rlds!", {true, true}));
  });
  return 0;
}
